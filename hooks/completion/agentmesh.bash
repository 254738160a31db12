# Completion for bash, 4 or newer.

_agentmesh() {
    local IFS=$'\n' i at=0 word joined=() rest=$COMP_LINE
    # Readline breaks words at : = @ too; put together what stands together on the line.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        word=${COMP_WORDS[i]}
        at=${rest%%[![:space:]]*}
        rest=${rest#"$at"}
        if [[ $i -gt 0 && -z $at && -n $word ]]; then
            joined[${#joined[@]} - 1]+=$word
        else
            joined+=("$word")
        fi
        rest=${rest#"$word"}
    done
    local current=${joined[${#joined[@]} - 1]} found=() candidate
    joined[0]=${joined[0]##*/}
    for candidate in $(IFS=$'\037' && AGENTMESH_WORDS="${joined[*]}" AGENTMESH_TABLE=$_agentmesh_table awk "$_agentmesh_candidates"); do
        found+=("${candidate%%$'\t'*}")
        if [[ $candidate == $'\tfiles' ]]; then
            compopt -o filenames
            COMPREPLY=($(compgen -f -- "$current"))
            return
        fi
    done
    # Of several recipients the last is completed. What no word begins with may stand within one: `review`.
    local before=
    [[ $current == *,* ]] && before=${current%,*}, current=${current##*,}
    COMPREPLY=()
    for candidate in "${found[@]}"; do
        [[ $candidate == "$current"* ]] && COMPREPLY+=("$before$candidate")
    done
    if [[ -n $current && ${#COMPREPLY[@]} -eq 0 ]]; then
        for candidate in "${found[@]}"; do
            [[ $candidate == *"$current"* ]] && COMPREPLY+=("$before$candidate")
        done
    fi
    # Readline keeps what stands before the last of its own breaks.
    local kept=${joined[${#joined[@]} - 1]}
    kept=${kept%"${kept##*[:=@]}"}
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}

complete -F _agentmesh agentmesh notify-pane agent-discover agent-register-hook agent-self-identify

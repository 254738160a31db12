# Completion for zsh, 5 or newer.

_agentmesh() {
    local -a so_far lines found
    local line tab=$'\t'
    so_far=("${words[1]:t}" "${(@Q)words[2,CURRENT-1]}" "$PREFIX")
    lines=("${(@f)$(AGENTMESH_WORDS=${(pj:\037:)so_far} AGENTMESH_TABLE=$_agentmesh_table awk "$_agentmesh_candidates")}")
    if [[ $lines[1] == ${tab}files ]]; then
        _files
        return
    fi
    for line in $lines; do
        found+=("${${line%%$tab*}//:/\\:}${${line#*$tab}:+:${line#*$tab}}")
    done
    # Of several recipients the last is completed. What no word begins with may stand within one: `review`.
    compset -P '*,'
    _describe agentmesh found -M 'l:|=* r:|=*'
}

(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _agentmesh agentmesh notify-pane agent-discover agent-register-hook agent-self-identify

# Completion for fish, 3.1 or newer.

function __agentmesh
    set -l so_far (commandline -opc) (commandline -ct)
    set so_far[1] (string replace -r '.*/' '' -- $so_far[1])
    set -l lines (AGENTMESH_WORDS=(string join -- \x1f $so_far | string collect) AGENTMESH_TABLE=$__agentmesh_table awk $__agentmesh_candidates | string collect | string split \n)
    if test "$lines[1]" = \tfiles
        __fish_complete_path (commandline -ct)
        return
    end
    # Of several recipients the last is completed.
    set -l before (string match -r '^.*,' -- (commandline -ct))
    for line in $lines
        echo -- "$before$line"
    end
end

for program in agentmesh notify-pane agent-discover agent-register-hook agent-self-identify
    complete -c $program -f -a '(__agentmesh)'
end

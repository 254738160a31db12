#!/bin/sh
# Ask whom to tell what, and send it: `sh send-message.sh PANE [HOME]`, in a popup of tmux's.
# PANE is the id of the pane that answers come to, HOME the agent's folder.

export AGENTMESH_HOME="${2:-$HOME/.agents}"
PATH="$AGENTMESH_HOME/bin:$PATH"

ended() {
    printf '\nPress Enter. '
    read -r _
    exit
}

addresses=$(notify-pane --list) || ended
printf '%s\n' "$addresses" | awk '{ printf "%3d  %s\n", NR, $0 }'
printf '\nTo (a number, or an address or its ending): '
read -r to || exit
[ -n "$to" ] || exit
case $to in
    *[!0-9]*) ;;
    *) to=$(printf '%s\n' "$addresses" | sed -n "${to}p") ;;
esac
printf 'Message: '
read -r body || exit
[ -n "$body" ] || exit
# A popup is no pane: without this the sender would be the host.
sender=$(agentmesh show "$(AGENT_NAME= notify-pane --whoami):$1" 2>/dev/null | sed -n 's/^address *//p')
printf '%s' "$body" | AGENT_NAME= notify-pane ${sender:+"--reply-to=$sender"} --queue "$to" -
ended

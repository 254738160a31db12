#!/usr/bin/env bash
# The smoke test of an existing set-up, as it is written there: two windows, discovery, a message, a file, a rename.
set -euo pipefail

fail() {
    echo "FAIL: $*" >&2
    exit 1
}

tmux new-session -d -s smoketest -n alpha -x 200 -y 50 'exec sleep 600'
tmux new-window -d -t smoketest -n beta 'exec sleep 600'

agent-discover
notify-pane --list | grep -q '^selfhost-smoketest-alpha$' || fail "alpha is not listed"
notify-pane --list | grep -q '^selfhost-smoketest-beta$' || fail "beta is not listed"

FORCE_SEND=1 notify-pane selfhost-smoketest-beta "payload" || fail "the message was not sent"
tmux capture-pane -p -t smoketest:beta | grep -q '\] payload$' || fail "the message is not in the pane"

echo "some content" >dropped.txt
FORCE_SEND=1 notify-pane selfhost-smoketest-beta --file dropped.txt || fail "the file was not sent"
find ~/.agent-inbox -name dropped.txt -exec cmp dropped.txt {} \; | grep . && fail "the file differs"
find ~/.agent-inbox -name dropped.txt | grep -q . || fail "the file is not there"
tmux capture-pane -p -J -t smoketest:beta | grep -q 'file dropped at ~/.agent-inbox/' || fail "the notice is not in the pane"

tmux rename-window -t smoketest:alpha gamma
for _ in $(seq 50); do
    notify-pane --list | grep -q '^selfhost-smoketest-gamma$' && break
    sleep 0.1
done
notify-pane --list | grep -q '^selfhost-smoketest-gamma$' || fail "the new name is not listed within 5 s"
notify-pane --list | grep -q '^selfhost-smoketest-alpha$' && fail "the old name is still listed"

tmux kill-session -t smoketest
echo PASS

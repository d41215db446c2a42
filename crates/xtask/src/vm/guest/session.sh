#!/bin/bash
# Runs what comes through the virtio port, one command a line: a number, seconds, and the command in base64.
# Replies to each with a line: the number, the exit code, and the output in base64.
exec 3<> /dev/virtio-ports/oomwatch
echo ready >&3
while true; do
    read -r -u 3 number seconds command || { sleep 0.1; continue; }
    output=$(timeout "$seconds" bash -c "$(base64 -d <<< "$command")" < /dev/null 2>&1 3>&-; printf '\n%s' "$?")
    echo "$number ${output##*$'\n'} $(printf %s "${output%$'\n'*}" | base64 -w 0)" >&3
done

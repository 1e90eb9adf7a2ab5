#!/usr/bin/env bash
# Run every command given, each one argument, although an earlier one fails; exit with the first failing code.
#
#   keep_going.sh "ruff check ." "mypy" "pytest"
#
# What fails is named at once, so that the last lines are the last command's own.
set -u
first=0
for command in "$@"; do
    bash -c "$command"
    code=$?
    [ "$code" -eq 0 ] && continue
    [ "$first" -ne 0 ] || first=$code
    [ "$command" = "${!#}" ] || echo "keep_going: exit code $code: $command (the rest runs all the same)" >&2
done
exit "$first"

# Runs as root on the machine; what it prints is read as the output of tests.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root NO_COLOR=1 LANG=C.UTF-8 STOCKADE_BIN=/payload/stockade
user() {
    setpriv --reuid=1000 --regid=1000 --init-groups --inh-caps=-all -- env -i PATH="$PATH" LANG=C.UTF-8 NO_COLOR=1 \
        HOME=/home/stockade-test USER=stockade-test XDG_RUNTIME_DIR=/run/user/1000 \
        STOCKADE_BIN=$STOCKADE_BIN STOCKADE_SKIP_LOG="$STOCKADE_SKIP_LOG" STOCKADE_RESULTS="$STOCKADE_RESULTS" "$@"
}
root() { "$@"; }

# section LABEL WHO COMMAND...: one run of a test program.
section() {
    label=$1 who=$2
    shift 2
    echo "=== begin $label"
    export STOCKADE_SKIP_LOG=/tmp/$label.skips STOCKADE_RESULTS=/tmp/$label.results
    : > "$STOCKADE_SKIP_LOG"
    chmod 666 "$STOCKADE_SKIP_LOG"
    cd /tmp
    "$who" "$@" 2>&1
    code=$?
    cat "$STOCKADE_SKIP_LOG"
    echo "=== end $label $code"
}

# check NAME COMMAND...: one test of its own; what it says is shown if it fails.
check() {
    name=$1
    shift
    count=$((count + 1))
    if "$@" > /tmp/said 2>&1; then
        echo "test $name ... ok"
    else
        echo "test $name ... FAILED"
        failed=$((failed + 1))
        cat /tmp/said
    fi
}
checks() {
    count=0 failed=0
    echo "running 1 test"
    "$@"
    word=ok
    [ "$failed" = 0 ] || word=FAILED
    echo "test result: $word. $((count - failed)) passed; $failed failed; 0 ignored; 0 measured; 0 filtered out"
    [ "$failed" = 0 ]
}

says() { grep -q -e "$1" /tmp/one || { cat /tmp/one; return 1; }; }

# The main job, and what it says of its walls.
whole_run() {
    mkdir -p "$2" && cd "$2" && chown "$3" . || return 1
    "$1" "$STOCKADE_BIN" run -- python3 -c 'import os; open("made", "w"); print(len(os.listdir("/proc")))' > /tmp/one 2>&1 || return 1
    says 'native, \([0-9]*\) of \1 controls verified' && says '1 file changed' && [ ! -e made ]
}
doctor_is_content() { "$1" "$STOCKADE_BIN" doctor > /tmp/one 2>&1 || { cat /tmp/one; return 1; }; says 'The default run works'; }
limits_are_kept() {
    "$1" "$STOCKADE_BIN" doctor --json > /tmp/one || return 1
    python3 - <<'END'
import json
checks = {check["id"]: check for check in json.load(open("/tmp/one"))["checks"]}
for limit in "cgroup-memory", "cgroup-pids", "cgroup-cpu":
    assert checks[limit]["result"] == "ok" and "v2" in checks[limit]["found"], checks[limit]
END
}
the_way_is_a_scope() { "$1" "$STOCKADE_BIN" doctor > /tmp/one; says 'in a scope delegated by the user.s systemd'; }
memory_limit_holds() {
    cd "$2" || return 1
    "$1" "$STOCKADE_BIN" run --memory 64M -- python3 -c 'x = b"x" * (200 << 20)' > /tmp/one 2>&1
    [ $? = 137 ] || { cat /tmp/one; return 1; }
    # The positive control.
    "$1" "$STOCKADE_BIN" run --memory 400M -- python3 -c 'x = b"x" * (200 << 20)' > /tmp/one 2>&1
}
nothing_is_left() {
    "$1" "$STOCKADE_BIN" gc > /tmp/one 2>&1 || return 1
    ! find /sys/fs/cgroup -name 'stockade-*.scope' -o -path '*/stockade/*' -type d | grep .
}
on_tmpfs() {
    mkdir -p /mnt/tmpfs && mount -t tmpfs tmpfs /mnt/tmpfs || return 1
    whole_run root /mnt/tmpfs 0
}
is_refused_with_a_remedy() {
    sysctl -q kernel.unprivileged_userns_clone=0
    cd /home/stockade-test/project || return 1
    user "$STOCKADE_BIN" run -- true > /tmp/one 2>&1
    code=$?
    user "$STOCKADE_BIN" doctor > /tmp/two 2>&1
    doctor=$?
    sysctl -q kernel.unprivileged_userns_clone=1
    cat /tmp/two
    [ "$code" = 125 ] && [ "$doctor" = 1 ] && says 'kernel.unprivileged_userns_clone' && says 'fix:' && \
        user "$STOCKADE_BIN" run -- true
}
main_job() {
    check root_runs_python whole_run root /srv/project 0
    check user_runs_python whole_run user /home/stockade-test/project 1000
    check root_doctor doctor_is_content root
    check user_doctor doctor_is_content user
    check root_has_limits limits_are_kept root
    check user_has_limits limits_are_kept user
    check user_has_them_by_a_scope the_way_is_a_scope user
    check root_memory_limit memory_limit_holds root /srv/project
    check user_memory_limit memory_limit_holds user /home/stockade-test/project
    check root_on_tmpfs on_tmpfs
    check user_without_namespaces is_refused_with_a_remedy
    check root_leaves_nothing nothing_is_left root
    check user_leaves_nothing nothing_is_left user
}

section vm-main root checks main_job
for group in GROUPS; do
    section "vm-root-$group" root /payload/conformance --color never "native::$group::"
    section "vm-user-$group" user /payload/conformance --color never "native::$group::"
done
section vm-root-linux root /payload/linux-it --color never
section vm-user-linux user /payload/linux-it --color never
echo "=== done"

# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_stockade_global_optspecs
    string join \n h/help V/version
end

function __fish_stockade_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_stockade_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_stockade_using_subcommand
    set -l cmd (__fish_stockade_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c stockade -n "__fish_stockade_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_needs_command" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "run" -d 'Runs a command in a new sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "create" -d 'Makes a sandbox without a command, to `exec` into'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "exec" -d 'Runs one more command in a running sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "attach" -d 'Attaches to the first command of a detached sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "logs" -d 'Shows what the first command of a detached sandbox wrote'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "cp" -d 'Copies files between the host and a running sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "ls" -d 'Lists sandboxes'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "top" -d 'Shows what running sandboxes use, live'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "inspect" -d 'Shows all that is known of a sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "pause" -d 'Stops everything in a sandbox where it is, until `resume`'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "resume" -d 'Lets a paused sandbox go on'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "stop" -d 'Ends a running sandbox'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "rm" -d 'Removes an ended sandbox with the changes that it kept'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "changes" -d 'Lists what sandboxes changed in their workspaces, kept apart from the host'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "diff" -d 'Shows what sandboxes changed in this project and nobody has taken over yet'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "apply" -d 'Takes changes over to the project, whole or not at all'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "discard" -d 'Forgets changes that were not taken over'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "undo" -d 'Brings back what was there before the last apply'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "checkpoint" -d 'Keeps a copy of the pending changes, to go back to'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "rewind" -d 'Makes the pending changes what they were at a checkpoint'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "policy" -d 'Explains and checks policies'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "preset" -d 'Shows the policies that come with the program'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "audit" -d 'Shows what happened to sandboxes, and checks that the record is whole'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "verify" -d 'Checks the signed evidence of a run, and what is required of it'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "rpc" -d 'Lets a program drive sandboxes: JSON lines on standard input and output'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "gc" -d 'Removes what a crash left behind: processes, cgroups, mounts, directories'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "probe" -d 'Attacks the walls of this host\'s drivers from inside, and tells what held'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "choose" -d 'Tells which wall is strong enough for a threat, and why not the others'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "lint" -d 'Finds what weakens the walls of containers, pods and policies, and tells the fix'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "doctor" -d 'Says what this host can do, what is missing, and how to get it'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "setup" -d 'Mends this host for ordinary users, as root: shows what it would write, and asks'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "help" -d 'Explains a concept or a command'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "completions" -d 'Writes the completion script of a shell to standard output'
complete -c stockade -n "__fish_stockade_needs_command" -f -a "man" -d 'Writes the manual pages'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l driver -d 'The way to build the sandbox [default: auto, the strongest that meets the policy]' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l policy -d 'Policy file, on top of those of the organisation, the user and the project' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand run" -l preset -d 'A policy that comes with the program, below the file and the flags: see `stockade preset ls`' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l require -d 'Refuse to run unless this control is enforced; over what the policy says' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand run" -l prefer -d 'Run without this control, and say so, where it cannot be enforced' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand run" -s w -l workspace -d 'The project directory [default: the git root, else the current directory]' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand run" -l workspace-mode -d 'What writing to the workspace means' -r -f -a "cow\t'Changes are kept apart for review'
copy\t'The same, in a private copy: where no overlay is possible'
ro\t'Writing is refused'
rw\t'Changes go straight to the host'
live\t'The same, but for what runs later there; a checkpoint is taken first'
none\t'There is no workspace'"
complete -c stockade -n "__fish_stockade_using_subcommand run" -l ro -d 'Show this file or directory read-only' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand run" -l rw -d 'Show this file or directory writable: changes reach the host' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand run" -l image -d 'A root directory to use in place of the host\'s system directories' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand run" -s e -l env -d 'Set a variable; NAME alone passes the host\'s value on' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l env-file -d 'Set the variables of a file of NAME=VALUE lines' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand run" -s m -l memory -d 'Memory and swap together: 512M, 2G [default: half of the machine\'s]' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l cpus -d 'Processors: 1.5' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l pids -d 'Processes and threads [default: 4096]' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l disk -d 'Size of the changes in the workspace: 10G' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l timeout -d 'Time from the start of the command: 500ms, 30s, 5m, 1h' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l output -d 'Bytes of standard output and standard error together' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l name -d 'Name of the sandbox, for `exec`, `stop` and `changes`' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l label -d 'A note on the sandbox, for `ls --label`; may be repeated' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l ttl -d 'End a detached sandbox after this time: 30m, 8h' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l idle -d 'End a detached sandbox when nothing happened in it for this time: 10m' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l log-size -d 'How much of the output of a detached sandbox is kept [default: 16M]' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l changes -d 'Go on with the change set of this name, or begin it [default: pending]' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l status-fd -d 'Write events as JSON lines to this open file descriptor' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l audit-fd -d 'Write the audit records to this open file descriptor as well' -r
complete -c stockade -n "__fish_stockade_using_subcommand run" -l evidence -d 'Write signed evidence of the run to this file, for `stockade verify`' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand run" -l checkpoints-from-inside -d 'Let commands inside ask for checkpoints of the changes, with `stockade checkpoint`'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l audit-processes -d 'Record every start of a program inside: what, where, by whom, and how it ended'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l no-audit-processes -d 'Do not record them, whatever the policy says'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l dry-run -d 'Show what would be enforced, by whom and how; create nothing'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l rm -d 'Begin without changes, and throw them away when the sandbox ends'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l fresh -d 'Begin without changes; those that are there are set aside, not lost'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l audit-syslog -d 'Send the audit records to the system\'s log (journald or syslog) as well'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l probing -d 'For the battery alone: what it showed last does not keep it from looking anew'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l workspace-over-link -d 'For tests: send the workspace over the guest\'s link, as drivers do that share no file system'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s i -l interactive -d 'Forward standard input even if it is a terminal and the command gets none'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s t -l tty -d 'Give the command a terminal of its own [default: if all three standard streams are one]'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s T -l no-tty -d 'Give the command no terminal'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l raw-output -d 'Send your terminal everything that the command writes'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s d -l detach -d 'Run it without a terminal and return when it runs; see `attach` and `logs`'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l keep -d 'Keep the record of the sandbox when the command ends, even if nothing changed'
complete -c stockade -n "__fish_stockade_using_subcommand run" -l json -d 'Write the plan (with --dry-run, on stdout), what was started (with --detach, on stdout) or the last line (on stderr) as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s q -l quiet -d 'No notes and no last line'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand run" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l driver -d 'The way to build the sandbox [default: auto, the strongest that meets the policy]' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l policy -d 'Policy file, on top of those of the organisation, the user and the project' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand create" -l preset -d 'A policy that comes with the program, below the file and the flags: see `stockade preset ls`' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l require -d 'Refuse to run unless this control is enforced; over what the policy says' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand create" -l prefer -d 'Run without this control, and say so, where it cannot be enforced' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand create" -s w -l workspace -d 'The project directory [default: the git root, else the current directory]' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand create" -l workspace-mode -d 'What writing to the workspace means' -r -f -a "cow\t'Changes are kept apart for review'
copy\t'The same, in a private copy: where no overlay is possible'
ro\t'Writing is refused'
rw\t'Changes go straight to the host'
live\t'The same, but for what runs later there; a checkpoint is taken first'
none\t'There is no workspace'"
complete -c stockade -n "__fish_stockade_using_subcommand create" -l ro -d 'Show this file or directory read-only' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand create" -l rw -d 'Show this file or directory writable: changes reach the host' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand create" -l image -d 'A root directory to use in place of the host\'s system directories' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand create" -s e -l env -d 'Set a variable; NAME alone passes the host\'s value on' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l env-file -d 'Set the variables of a file of NAME=VALUE lines' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand create" -s m -l memory -d 'Memory and swap together: 512M, 2G [default: half of the machine\'s]' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l cpus -d 'Processors: 1.5' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l pids -d 'Processes and threads [default: 4096]' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l disk -d 'Size of the changes in the workspace: 10G' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l timeout -d 'Time from the start of the command: 500ms, 30s, 5m, 1h' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l output -d 'Bytes of standard output and standard error together' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l name -d 'Name of the sandbox, for `exec`, `stop` and `changes`' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l label -d 'A note on the sandbox, for `ls --label`; may be repeated' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l ttl -d 'End a detached sandbox after this time: 30m, 8h' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l idle -d 'End a detached sandbox when nothing happened in it for this time: 10m' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l log-size -d 'How much of the output of a detached sandbox is kept [default: 16M]' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l changes -d 'Go on with the change set of this name, or begin it [default: pending]' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l status-fd -d 'Write events as JSON lines to this open file descriptor' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l audit-fd -d 'Write the audit records to this open file descriptor as well' -r
complete -c stockade -n "__fish_stockade_using_subcommand create" -l checkpoints-from-inside -d 'Let commands inside ask for checkpoints of the changes, with `stockade checkpoint`'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l audit-processes -d 'Record every start of a program inside: what, where, by whom, and how it ended'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l no-audit-processes -d 'Do not record them, whatever the policy says'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l dry-run -d 'Show what would be enforced, by whom and how; create nothing'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l rm -d 'Begin without changes, and throw them away when the sandbox ends'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l fresh -d 'Begin without changes; those that are there are set aside, not lost'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l audit-syslog -d 'Send the audit records to the system\'s log (journald or syslog) as well'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l probing -d 'For the battery alone: what it showed last does not keep it from looking anew'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l workspace-over-link -d 'For tests: send the workspace over the guest\'s link, as drivers do that share no file system'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l keep -d 'Keep the record of the sandbox when it ends (the default)'
complete -c stockade -n "__fish_stockade_using_subcommand create" -l json -d 'Write what was made, or with --dry-run the plan, as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand create" -s q -l quiet -d 'No notes'
complete -c stockade -n "__fish_stockade_using_subcommand create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand create" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s e -l env -d 'Set a variable; NAME alone passes the host\'s value on' -r
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s w -l workdir -d 'Directory inside to start in [default: that of the sandbox\'s first command]' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s i -l interactive -d 'Forward standard input even if it is a terminal and the command gets none'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s t -l tty -d 'Give the command a terminal of its own [default: if all three standard streams are one]'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s T -l no-tty -d 'Give the command no terminal'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -l raw-output -d 'Send your terminal everything that the command writes'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -l json -d 'Write how the command ended as JSON to standard error'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s q -l quiet -d 'No messages about how the command ended'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand exec" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -l from -d 'Show output from this offset on, as far as it is kept [default: only what is new]' -r
complete -c stockade -n "__fish_stockade_using_subcommand attach" -l detach-keys -d 'Keys that leave the command running' -r
complete -c stockade -n "__fish_stockade_using_subcommand attach" -l read-only -d 'Only watch'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -l raw-output -d 'Send your terminal everything that the command writes'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -l json -d 'Write how it ended as JSON to standard error'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -s q -l quiet -d 'No message about how it ended'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand attach" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand logs" -s n -l tail -d 'Only the last lines' -r
complete -c stockade -n "__fish_stockade_using_subcommand logs" -l since -d 'Only what was written within this time: 30s, 5m' -r
complete -c stockade -n "__fish_stockade_using_subcommand logs" -s f -l follow -d 'Go on until the command ends, or Ctrl-C'
complete -c stockade -n "__fish_stockade_using_subcommand logs" -l json -d 'Write JSON lines with time, offset and stream'
complete -c stockade -n "__fish_stockade_using_subcommand logs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand logs" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand cp" -l limit -d 'Copy at most this much' -r
complete -c stockade -n "__fish_stockade_using_subcommand cp" -l json -d 'Write what was copied as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand cp" -s q -l quiet -d 'Only say what was left out'
complete -c stockade -n "__fish_stockade_using_subcommand cp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand cp" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand ls" -l label -d 'Only those with this label: KEY, or KEY=VALUE; with several, all must fit' -r
complete -c stockade -n "__fish_stockade_using_subcommand ls" -l json -d 'Write a JSON array'
complete -c stockade -n "__fish_stockade_using_subcommand ls" -s q -l quiet -d 'Only names'
complete -c stockade -n "__fish_stockade_using_subcommand ls" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand ls" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand top" -s i -l interval -d 'Time between two looks' -r
complete -c stockade -n "__fish_stockade_using_subcommand top" -l once -d 'Look once; also where standard output is no terminal'
complete -c stockade -n "__fish_stockade_using_subcommand top" -l json -d 'Look once, and write a JSON array'
complete -c stockade -n "__fish_stockade_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand top" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand inspect" -l json -d 'Write it as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand inspect" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand inspect" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand pause" -l json -d 'Write the result as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand pause" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand resume" -l json -d 'Write the result as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand resume" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand resume" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand stop" -l grace -d 'How long the command may take to end by itself: 500ms, 30s' -r
complete -c stockade -n "__fish_stockade_using_subcommand stop" -l json -d 'Write the result as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand stop" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand rm" -s f -l force -d 'Stop it first if it runs'
complete -c stockade -n "__fish_stockade_using_subcommand rm" -l json -d 'Write the result as JSON'
complete -c stockade -n "__fish_stockade_using_subcommand rm" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand rm" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand changes" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand changes" -s q -l quiet -d 'Write the names alone, one a line'
complete -c stockade -n "__fish_stockade_using_subcommand changes" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand changes" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l changes -d 'The change set, or a sandbox that used it: its name or id [default: the project\'s pending one]' -r
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l patch -d 'Write a patch for `git apply` to this file; `-` is standard output' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l html -d 'Write a page for a browser to this file' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l ignored -d 'Show files that git\'s rules leave out one by one, too'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l stat -d 'One line a file: how many lines are new and gone'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l name-only -d 'Only the names'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -l no-pager -d 'Do not start a pager'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand diff" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l conflicts -d 'For files that changed on the host as well: what becomes of them' -r -f -a "leave\t'Stays a pending change'
host\t'The host\'s file stays, the change is forgotten'
sandbox\t'The sandbox\'s file takes its place'
beside\t'The sandbox\'s file is put beside it, as NAME.stockade'
merge\t'Both are put together, line by line; where both changed the same lines it stays pending'
mark\t'The same, with conflict markers around lines that both changed'"
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l changes -d 'The change set, if not the project\'s pending one: its name, or a sandbox that used it' -r
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l safe -d 'Apply everything, or nothing if anything is risky or in conflict (for CI)'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l all -d 'Apply risky files as well'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -s i -l interactive -d 'Ask about each file'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l ignored -d 'Apply what git ignores as well'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l dry-run -d 'Say what would be done and do nothing'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand apply" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand discard" -l changes -d 'The change set, if not the project\'s pending one: its name, or a sandbox that used it' -r
complete -c stockade -n "__fish_stockade_using_subcommand discard" -s y -l yes -d 'Do not ask'
complete -c stockade -n "__fish_stockade_using_subcommand discard" -l dry-run -d 'Say what would be done and do nothing'
complete -c stockade -n "__fish_stockade_using_subcommand discard" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand discard" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand discard" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -l list -d 'List what can be undone, oldest first'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -l dry-run -d 'Only check whether it can be undone'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -l set-aside -d 'Keep pending changes that are in the way as a set of their own'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand undo" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand checkpoint" -l changes -d 'The change set, if not the project\'s pending one: its name, or a sandbox that used it' -r
complete -c stockade -n "__fish_stockade_using_subcommand checkpoint" -l list -d 'List the checkpoints instead, oldest first'
complete -c stockade -n "__fish_stockade_using_subcommand checkpoint" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand checkpoint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand checkpoint" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand rewind" -l changes -d 'The change set, if not the project\'s pending one: its name, or a sandbox that used it' -r
complete -c stockade -n "__fish_stockade_using_subcommand rewind" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand rewind" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand rewind" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and not __fish_seen_subcommand_from check explain schema" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and not __fish_seen_subcommand_from check explain schema" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and not __fish_seen_subcommand_from check explain schema" -f -a "check" -d 'Reads policies and says what in them cannot be right'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and not __fish_seen_subcommand_from check explain schema" -f -a "explain" -d 'Shows what holds for a run with the same flags, who wrote each clause and who enforces it'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and not __fish_seen_subcommand_from check explain schema" -f -a "schema" -d 'Writes the JSON Schema of policy files, for editors'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from check" -l as -d 'What the file is to be: that decides what may stand in it' -r -f -a "named\t'Named by --policy'
organisation\t'Root\'s, in /etc/stockade: it may have a floor'
user\t'The user\'s own'
project\t'The project\'s: it may only tighten'"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from check" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l driver -d 'The way to build the sandbox [default: auto, the strongest that meets the policy]' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l policy -d 'Policy file, on top of those of the organisation, the user and the project' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l preset -d 'A policy that comes with the program, below the file and the flags: see `stockade preset ls`' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l require -d 'Refuse to run unless this control is enforced; over what the policy says' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l prefer -d 'Run without this control, and say so, where it cannot be enforced' -r -f -a "files-unreadable\t'files outside the view cannot be read'
names-hidden\t'names of files outside the view cannot be seen'
metadata-protected\t'modes, owners and times of host files cannot be changed'
system-read-only\t'system directories cannot be written'
home-hidden\t'the home directory is replaced by a private one'
local-sockets-hidden\t'unix sockets of the host cannot be reached, by path or abstract name'
workspace-copy-on-write\t'changes in the workspace do not touch the host'
workspace-read-only\t'the workspace cannot be written'
workspace-protected\t'what the host runs later is read-only'
processes-hidden\t'host processes cannot be seen, signalled or traced'
ipc-private\t'System V IPC and message queues are private'
hostname-private\t'the host\'s name is hidden and cannot be changed'
network-none\t'no network but a private loopback'
network-allowlist\t'only allowed destinations can be reached'
privileges\t'not root, no capabilities, and none can be gained'
syscall-filter\t'only allowed system calls of the native ABI'
nested-namespaces-off\t'no new namespaces can be made inside'
second-wall\t'Landlock repeats the file rules and scopes signals'
devices-hidden\t'only harmless device nodes exist'
kernel-knobs-protected\t'kernel settings cannot be written, sensitive ones not read'
clean-environment\t'only allowed environment variables pass'
descriptors-closed\t'no open file of the launcher passes'
terminal-private\t'own session; the user\'s terminal cannot be driven'
guest-protected\t'the guest cannot be read, traced or overwritten from inside'
dies-with-supervisor\t'nothing keeps running when Stockade ends'
process-starts\t'every start of a program inside is recorded, before it happens'
own-kernel\t'an own kernel serves the system calls'
own-machine\t'another machine runs the command'
cpu\t'processor time is limited'
memory\t'memory is limited, swap included'
pids\t'the number of processes is limited'
disk\t'what the sandbox writes to disk is limited'
wall-time\t'the run ends after a set time'
output\t'the amount of output is limited'
budget-memory\t'all sandboxes together leave memory to the host'
budget-cpu\t'all sandboxes together leave time to the host'"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -s w -l workspace -d 'The project directory [default: the git root, else the current directory]' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l workspace-mode -d 'What writing to the workspace means' -r -f -a "cow\t'Changes are kept apart for review'
copy\t'The same, in a private copy: where no overlay is possible'
ro\t'Writing is refused'
rw\t'Changes go straight to the host'
live\t'The same, but for what runs later there; a checkpoint is taken first'
none\t'There is no workspace'"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l ro -d 'Show this file or directory read-only' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l rw -d 'Show this file or directory writable: changes reach the host' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l image -d 'A root directory to use in place of the host\'s system directories' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -s e -l env -d 'Set a variable; NAME alone passes the host\'s value on' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l env-file -d 'Set the variables of a file of NAME=VALUE lines' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -s m -l memory -d 'Memory and swap together: 512M, 2G [default: half of the machine\'s]' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l cpus -d 'Processors: 1.5' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l pids -d 'Processes and threads [default: 4096]' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l disk -d 'Size of the changes in the workspace: 10G' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l timeout -d 'Time from the start of the command: 500ms, 30s, 5m, 1h' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l output -d 'Bytes of standard output and standard error together' -r
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l checkpoints-from-inside -d 'Let commands inside ask for checkpoints of the changes, with `stockade checkpoint`'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l audit-processes -d 'Record every start of a program inside: what, where, by whom, and how it ended'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -l no-audit-processes -d 'Do not record them, whatever the policy says'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from explain" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand policy; and __fish_seen_subcommand_from schema" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and not __fish_seen_subcommand_from ls show" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and not __fish_seen_subcommand_from ls show" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and not __fish_seen_subcommand_from ls show" -f -a "ls" -d 'Lists them'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and not __fish_seen_subcommand_from ls show" -f -a "show" -d 'Writes one as the policy file that it is'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from ls" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from ls" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from ls" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from show" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand preset; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and not __fish_seen_subcommand_from show verify" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and not __fish_seen_subcommand_from show verify" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and not __fish_seen_subcommand_from show verify" -f -a "show" -d 'Shows what happened, oldest first: to all sandboxes, or to one'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and not __fish_seen_subcommand_from show verify" -f -a "verify" -d 'Checks that no record was edited, removed or moved'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -l kind -d 'Only this kind of event; can be given several times' -r -f -a "created\t''
refused\t''
failed\t''
receipt\t''
exec-started\t''
exec-ended\t''
process-started\t''
process-ended\t''
limit-hit\t''
stopped\t''
checkpoint\t''
host-changed\t''
destroyed\t''
continued\t''
lost\t''"
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -l last -d 'The latest sandbox'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -s f -l follow -d 'Go on with what happens, until the sandbox is removed'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -l json -d 'Write the lines of the record as they are'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from verify" -l head -d 'A hash that was shown as the last one before: it must still be there' -r
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand audit; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand verify" -l require -d 'Something that has to be so; may be given several times, or with commas' -r
complete -c stockade -n "__fish_stockade_using_subcommand verify" -l changes -d 'The changes of this name in this project have to be those of the evidence [default name: pending]' -r
complete -c stockade -n "__fish_stockade_using_subcommand verify" -l key -d 'A public key (PEM) that is trusted in place of this machine\'s own; may be given several times' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand verify" -l json -d 'Write JSON, with all that the evidence says'
complete -c stockade -n "__fish_stockade_using_subcommand verify" -l show-key -d 'Write the public key of this machine, for those who read its evidence elsewhere'
complete -c stockade -n "__fish_stockade_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand verify" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand rpc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand rpc" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand gc" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand gc" -l all -d 'Also remove empty cgroups of your other state directories, deleted ones among them'
complete -c stockade -n "__fish_stockade_using_subcommand gc" -l dry-run -d 'Show what would be removed; remove nothing'
complete -c stockade -n "__fish_stockade_using_subcommand gc" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand gc" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l driver -d 'Only this driver; may be given several times' -r
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l category -d 'Only this group of probes (--list shows them); may be given several times' -r
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l id -d 'Only the probes whose id begins like this; may be given several times' -r
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l sarif -d 'Write SARIF 2.1.0 to this file, or to standard output for -' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l html -d 'Write a page for a browser to this file: controls by drivers, each cell with its evidence' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l reprobe -d 'Attack again where the last result still counts'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l claims -d 'Show what is commonly said of sandboxes to be true or false on this host, and probe no driver'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l list -d 'Show the probes and run none'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -l json -d 'Write JSON, with every probe and what is claimed'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -s v -l verbose -d 'Tell every probe, not only those that did not hold'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand probe" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l code -d 'Who wrote what will run: own, team, agent, public, hostile' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l reads -d 'What it reads, and could be steered by: trusted, untrusted' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l data -d 'The worth of what it can reach: none, internal, secret, regulated' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l network -d 'The network that it needs: none, allowlist, open' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l tenancy -d 'Whose sandboxes share the host: single, multi' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l agents -d 'How many run at once' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l lifetime -d 'How long each runs: short, long' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l system -d 'The operating system of the host: linux, macos, windows' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l purpose -d 'What it is for: try, development, production' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l needs -d 'What it needs besides: gpu, nested-docker, database, init, other-system, desktop, portable, images, many, fixed-function; may be given several times' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l start -d 'How long the start may take: 50ms, 2s' -r
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l threat -d 'Read the answers from a file of TOML; flags come on top' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l policy-out -d 'Write the policy that goes with the choice to a file' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l paid -d 'It may cost money by the hour'
complete -c stockade -n "__fish_stockade_using_subcommand choose" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand choose" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand choose" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l fail-on -d 'From which severity on a finding is a failure' -r -f -a "critical\t'Whoever controls the workload controls the host'
high\t'One more mistake, and the host is reached'
medium\t'One wall of several is gone'
low\t'What else holds is weakened'"
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l ignore -d 'Leave out a rule, by its id; what it would have found is counted. May be given several times' -r
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l env-file -d 'Values of variables in compose files, as for docker compose; may be given several times' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l allow-unknown -d 'Tell what was not understood, and do not fail because of it'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l rules -d 'Show the rules and check nothing'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -l sarif -d 'Write SARIF 2.1.0, as code review and CI take it'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand lint" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand doctor" -l json -d 'Write JSON, with everything that was seen'
complete -c stockade -n "__fish_stockade_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l root -d 'Another system\'s root directory: programs of this system are not started then' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l program -d 'The installed program, in that system; else this one' -r -F
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l dry-run -d 'Show what would be written; write nothing'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -s y -l yes -d 'Do not ask'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l undo -d 'Take back what was written'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l sysctl -d 'Also turn on switches of the kernel that keep user namespaces from users'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -l json -d 'Write JSON'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand setup" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand help" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c stockade -n "__fish_stockade_using_subcommand completions" -s V -l version -d 'Print version'
complete -c stockade -n "__fish_stockade_using_subcommand man" -l dir -d 'The directory to write to; it is made if it does not exist' -r -f -a "(__fish_complete_directories)"
complete -c stockade -n "__fish_stockade_using_subcommand man" -s h -l help -d 'Print help'
complete -c stockade -n "__fish_stockade_using_subcommand man" -s V -l version -d 'Print version'

# What exists now: names of sandboxes and change sets, presets, topics.
complete -c stockade -n "__fish_seen_subcommand_from attach exec inspect logs pause resume rm stop; and not contains -- -- (commandline -opc)" -f -a "(stockade ls --quiet 2>/dev/null)"
complete -c stockade -n "__fish_seen_subcommand_from changes" -f -a "(stockade changes --quiet 2>/dev/null)"
complete -c stockade -l changes -f -r -a "(stockade changes --quiet 2>/dev/null)"
complete -c stockade -l preset -f -r -a "locked standard toolchain"
complete -c stockade -n "__fish_seen_subcommand_from preset; and __fish_seen_subcommand_from show" -f -a "locked standard toolchain"
complete -c stockade -n "__fish_seen_subcommand_from help" -f -a "policy workspace limits exit-codes drivers levels network audit state"


# What exists now: names of sandboxes and change sets, presets, topics.
complete -c stockade -n "__fish_seen_subcommand_from attach exec inspect logs pause resume rm stop; and not contains -- -- (commandline -opc)" -f -a "(stockade ls --quiet 2>/dev/null)"
complete -c stockade -n "__fish_seen_subcommand_from changes" -f -a "(stockade changes --quiet 2>/dev/null)"
complete -c stockade -l changes -f -r -a "(stockade changes --quiet 2>/dev/null)"
complete -c stockade -l preset -f -r -a "@PRESETS@"
complete -c stockade -n "__fish_seen_subcommand_from preset; and __fish_seen_subcommand_from show" -f -a "@PRESETS@"
complete -c stockade -n "__fish_seen_subcommand_from help" -f -a "@TOPICS@"

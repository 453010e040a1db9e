
# What exists now: names of sandboxes and change sets, presets, topics.
_stockade() {
    local program="${words[1]}" before="${words[CURRENT-1]}"
    local -a known
    # After -- follows the command's own.
    if (( ${words[(i)--]} >= CURRENT && CURRENT >= 3 )) && [[ ${words[CURRENT]} != -* ]]; then
        case "${before}" in
            --preset) known=(@PRESETS@) ;;
            --changes) known=(${(f)"$(${program} changes --quiet 2>/dev/null)"}) ;;
            @VALUED@) ;;
            *)
                case "${words[2]} ${words[3]}" in
                    (attach|exec|inspect|logs|pause|resume|rm|stop)\ *)
                        known=(${(f)"$(${program} ls --quiet 2>/dev/null)"}) ;;
                    changes\ *) known=(${(f)"$(${program} changes --quiet 2>/dev/null)"}) ;;
                    preset\ show) (( CURRENT == 4 )) && known=(@PRESETS@) ;;
                    help\ *) (( CURRENT == 3 )) && known=(@TOPICS@) ;;
                esac ;;
        esac
    fi
    if (( ${#known} )); then
        compadd -- "${known[@]}"
        return 0
    fi
    _stockade_fixed "$@"
}


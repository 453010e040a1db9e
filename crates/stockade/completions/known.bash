
# What exists now: names of sandboxes and change sets, presets, topics.
_stockade() {
    local program="${COMP_WORDS[0]}" current="${COMP_WORDS[COMP_CWORD]}" known="" word
    local before="${COMP_WORDS[COMP_CWORD-1]}"
    for word in "${COMP_WORDS[@]:0:COMP_CWORD}"; do
        # What follows is the command's own.
        [[ ${word} == -- ]] && { _stockade_fixed "$@"; return; }
    done
    if [[ ${COMP_CWORD} -ge 2 && ${current} != -* ]]; then
        case "${before}" in
            --preset) known="@PRESETS@" ;;
            --changes) known="$("${program}" changes --quiet 2>/dev/null)" ;;
            @VALUED@) ;;
            *)
                case "${COMP_WORDS[1]} ${COMP_WORDS[2]}" in
                    attach\ *|exec\ *|inspect\ *|logs\ *|pause\ *|resume\ *|rm\ *|stop\ *)
                        known="$("${program}" ls --quiet 2>/dev/null)" ;;
                    changes\ *) known="$("${program}" changes --quiet 2>/dev/null)" ;;
                    preset\ show) [[ ${COMP_CWORD} -eq 3 ]] && known="@PRESETS@" ;;
                    help\ *) [[ ${COMP_CWORD} -eq 2 ]] && known="@TOPICS@" ;;
                esac ;;
        esac
    fi
    # compgen expands its words: nothing but names may reach it.
    known="${known//[!a-zA-Z0-9._[:space:]-]/}"
    if [[ -n ${known} ]]; then
        COMPREPLY=( $(compgen -W "${known}" -- "${current}") )
        return 0
    fi
    _stockade_fixed "$@"
}

"""Scripts that make shells ask ``harness complete`` what may come next."""

from __future__ import annotations

BASH = """\
# eval "$(harness completion bash)"   in ~/.bashrc
_harness_complete() {
    local IFS=$'\\n'
    COMPREPLY=($("$1" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f 1))
}
complete -o default -o bashdefault -F _harness_complete harness
"""
ZSH = """\
# eval "$(harness completion zsh)"   in ~/.zshrc, after compinit
_harness_complete() {
    local -a found
    local line
    for line in "${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
        [[ -n "$line" ]] && found+=("${${line%%$'\\t'*}//:/\\\\:}:${line#*$'\\t'}")
    done
    if (( $#found )); then
        _describe -V harness found
    else
        _files
    fi
}
compdef _harness_complete harness
"""
FISH = """\
# harness completion fish | source   in ~/.config/fish/config.fish
function __harness_complete
    set -l before (commandline -opc)
    set -l last (commandline -ct)
    set -l found ($before[1] complete -- $before[2..-1] "$last" 2>/dev/null)
    if set -q found[1]
        printf '%s\\n' $found
    else
        __fish_complete_path "$last"
    end
end
complete -c harness -f -a '(__harness_complete)'
"""
SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}
"""Shell → its script, whose first line says where it belongs."""

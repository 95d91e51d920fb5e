// cli/commands/completion.ts — `vtepctl completion`: makes a shell complete verbs, kinds and names.
//
// The scripts ask `vtepctl complete-words`, so they need no change when verbs do.

import { SwitchError } from '../../lib/errors.ts';
import type { Verb } from '../verb.ts';

const bash = `# bash completion of vtepctl
_vtepctl() {
  local IFS=$'\\n'
  local words=("\${COMP_WORDS[@]:1:COMP_CWORD}")
  local answer
  answer=$(vtepctl complete-words -- "\${words[@]}" 2>/dev/null)
  if [[ $answer == :files ]]; then
    COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}"))
  else
    COMPREPLY=($answer)
  fi
}
complete -o nosort -F _vtepctl vtepctl
`;

const zsh = `#compdef vtepctl
# zsh completion of vtepctl
_vtepctl() {
  local -a answer
  answer=("\${(@f)$(vtepctl complete-words -- "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ $answer[1] == :files ]]; then
    _files
  else
    compadd -- $answer
  fi
}
if [[ $funcstack[1] == _vtepctl ]]; then
  _vtepctl "$@"
else
  compdef _vtepctl vtepctl
fi
`;

const fish = `# fish completion of vtepctl
function __vtepctl_words
  set -l words (commandline -opc) (commandline -ct)
  set -l answer (vtepctl complete-words -- $words[2..-1] 2>/dev/null)
  if test "$answer[1]" = ":files"
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $answer
  end
end
complete -c vtepctl -f -a '(__vtepctl_words)'
`;

const scripts: Readonly<Record<string, string>> = { bash, zsh, fish };

export const verb: Verb = {
  name: 'completion',
  summary: 'print a script that completes vtepctl in a shell',
  description:
    'Prints a script for bash, zsh or fish that completes verbs, options, kinds and the names\n' +
    'of objects, which it asks of vtepd.',
  arguments: [['<shell>', 'bash, zsh or fish']],
  examples: [
    ['source <(vtepctl completion bash)', 'for this bash'],
    ['vtepctl completion zsh > ~/.zsh/_vtepctl', 'for zsh, in a folder of $fpath'],
    ['vtepctl completion fish > ~/.config/fish/completions/vtepctl.fish', 'for every fish'],
  ],
  async run({ args: [shell = ''], io }) {
    const script = scripts[shell];
    if (script === undefined) {
      const message = `there is no completion for "${shell}": expected bash, zsh or fish`;
      throw new SwitchError('ERR_ARGUMENT_INVALID', message);
    }
    io.stdout.write(script);
  },
};

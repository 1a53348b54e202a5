package deploy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Script is a program for the host's /bin/sh. Scripts use what dash and Debian's
// essential packages have, and hold no apostrophe, so that a login shell passes
// them on unchanged between two of them.
type Script string

// The scripts. Each prints, where it prints, lines that begin with a word of ours
// and the nonce, so that a login shell's banner cannot be taken for them.
const (
	// Launch NONCE HASH… executes the helper with one of the hashes, where it lies.
	//
	// It goes into a folder before it looks, and executes what lies in the folder that
	// it is in, so that nobody can exchange either in between. The folder and the
	// helper must be root's. The last folder lies in a home, which sudo may have left
	// to be another user's, so there it is also asked whether others may write; above
	// the others, only root can. Where the helper lies in one of those, no other
	// program is started, so that it costs nothing. 127: there is none.
	Launch Script = `n=$1; shift; own=${HOME:-/root}/.cache/phoenix
for d in /var/lib/phoenix /run/phoenix "$own"; do
cd "$d" 2>/dev/null && [ -O . ] || continue
for h; do f=./agentlet-$h
[ -x "$f" ] && [ -O "$f" ] || continue
if [ "$d" = "$own" ]; then case $(stat -c %a .) in *[2367] | *[2367]?) continue;; esac; fi
exec "$f" serve "$n"
done; done
exit 127`

	// Probe NONCE KIB finds out what the machine is and the first folder where a
	// program can be written, by nobody else, and executed, and KIB are free.
	Probe Script = `n=$1; need=$2; umask 077; f=./.probe-$n
echo "phoenix-machine $n $(id -u) $(uname -m)"
for d in /var/lib/phoenix /run/phoenix "${HOME:-/root}/.cache/phoenix"; do
why=
if ! { mkdir -p "$d" && cd "$d"; } 2>/dev/null; then why="cannot be made"
elif ! [ -O . ]; then why="belongs to somebody else"
else
free=$(df -Pk . | { read -r x; read -r a b c free e; echo "$free"; })
case $(stat -c %a .) in *[2367] | *[2367]?) why="can be written by others";; esac
if [ -n "$why" ]; then :
elif [ "${free:-0}" -lt "$need" ]; then why="has only ${free:-0} KiB free, $need are needed"
elif ! printf "%s\n" "#!/bin/sh" "exit 0" 2>/dev/null > "$f"; then why="cannot be written"
elif ! { chmod 700 "$f" && "$f"; } 2>/dev/null; then why="is mounted noexec"
fi
rm -f "$f" 2>/dev/null
fi
if [ -z "$why" ]; then echo "phoenix-folder $n $d"; exit 0; fi
echo "phoenix-tried $n $d $why"
done
exit 0`

	// Receive NONCE FILE writes its input to a new file. It says when it is ready,
	// because sudo may want to read a password first.
	Receive Script = `umask 077; set -C
echo "phoenix-ready $1"
cat > "$2" || exit 74
echo "phoenix-received $1"`

	// Install NONCE PACKED FILE HASH unpacks a helper, checks its hash, and gives it
	// its name. 65: the hash is another; 74: writing failed. What the file system says
	// of the file then is noted beside it, so that the helper need not hash itself at
	// each start: the time of change cannot be set, so whoever touches the file spoils
	// the note.
	Install Script = `n=$1; gz=$2; f=$3; want=$4; umask 077
t=$f.$n
trap "rm -f \"$gz\" \"$t\"" EXIT
gzip -dc < "$gz" > "$t" || exit 74
got=$(sha256sum < "$t") || exit 74
got=${got%% *}
[ "$got" = "$want" ] || { echo "the upload has SHA-256 $got, not $want" >&2; exit 65; }
chmod 0700 "$t" && sync "$t" && mv -f "$t" "$f" || exit 74
stat -c "%i %.9Z %s" "$f" > "$f.stat" 2>/dev/null
echo "phoenix-installed $n $f"`

	// CleanUp NONCE removes what phoenix keeps for itself: helpers, records, downloads,
	// the lock. It does not, where a run has the lock (75), or a change that nobody has
	// confirmed yet waits to be taken back (76). 77: not root. What was configured stays.
	// What lies under the lock's name and is not ours is removed: everybody may write
	// into that folder.
	CleanUp Script = `n=$1; l=/run/lock/phoenix.lock
[ "$(id -u)" = 0 ] || exit 77
[ -L "$l" ] && rm -f "$l"
had=; [ -e "$l" ] && had=1
[ -z "$had" ] || { [ -f "$l" ] && [ -O "$l" ]; } || rm -f "$l" || exit 73
exec 9>>"$l" || exit 73
flock -n 9 || { echo "phoenix-holder $n $(head -c 4096 "$l" | head -n 1)"; exit 75; }
for g in /var/lib/phoenix/guard/*/state.json; do
d=${g%/state.json}
if [ -e "$g" ] && ! [ -e "$d/decided" ] && [ -n "$(find "$g" -mmin -80)" ]; then exit 76; fi
done
for d in /var/lib/phoenix /var/cache/phoenix; do
if [ -e "$d" ]; then rm -rf "$d" && echo "phoenix-removed $n $d" || exit 74; fi
done
for d in /run/phoenix "${HOME:-/root}/.cache/phoenix"; do
cd "$d" 2>/dev/null && [ -O . ] || continue
for f in agentlet-* .agentlet-* .probe-* lxc-*.started; do
if [ -e "$f" ]; then rm -f "$f" && echo "phoenix-removed $n $d/$f" || exit 74; fi
done
cd /; rmdir "$d" 2>/dev/null
done
rm -f "$l" || exit 74
[ -n "$had" ] && echo "phoenix-removed $n $l"
echo "phoenix-clean $n"`
)

// Scripts lists all scripts.
func Scripts() []Script { return []Script{Launch, Probe, Receive, Install, CleanUp} }

// sudoPrompt is what sudo is told to ask with, so that a password is sent when it
// asks, and a second question is known for what it is: a refusal.
const sudoPrompt = "phoenix-sudo-password:"

// How sudo is started: with a prompt of ours when there is a password to give, and
// so that it never asks when there is none.
const (
	sudoAsks  = "sudo -S -p " + sudoPrompt + " -- "
	sudoNever = "sudo -n -- "
)

// become is how a command gets to be root.
type become string

const (
	becomeNot   become = ""
	becomeNever become = sudoNever
	becomeAsks  become = sudoAsks
)

// commandLine is what is sent to the login shell. It refuses what would not arrive as
// it is through every login shell.
func commandLine(b become, s Script, args ...string) (string, error) {
	words := append([]string{string(s), "phoenix"}, args...)
	for i, w := range words {
		bad := strings.ContainsAny(w, "'\\!\x00")
		if i == 0 {
			bad = strings.ContainsAny(w, "'\x00")
		} else if strings.ContainsFunc(w, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			bad = true
		}
		if bad {
			return "", fmt.Errorf("write command line: %q cannot be an argument", w)
		}
		words[i] = "'" + w + "'"
	}
	return "exec " + string(b) + "/bin/sh -c " + strings.Join(words, " "), nil
}

// Parse takes a command line of this package apart again. It is for servers that
// stand in for a host: the lab, and tests. Sudo tells whether the command asks to be
// root, through sudo.
func Parse(command string) (s Script, args []string, sudo bool, err error) {
	rest, ok := strings.CutPrefix(command, "exec ")
	if !ok {
		return "", nil, false, errors.New("parse command: it is none of phoenix's")
	}
	for _, prefix := range []string{sudoAsks, sudoNever} {
		if r, is := strings.CutPrefix(rest, prefix); is {
			rest, sudo = r, true
		}
	}
	rest, ok = strings.CutPrefix(rest, "/bin/sh -c ")
	if !ok {
		return "", nil, false, errors.New("parse command: it is none of phoenix's")
	}
	words, err := quotedWords(rest)
	if err != nil {
		return "", nil, false, err
	}
	if len(words) < 2 || !slices.Contains(Scripts(), Script(words[0])) {
		return "", nil, false, errors.New("parse command: it is none of phoenix's scripts")
	}
	return Script(words[0]), words[2:], sudo, nil
}

// quotedWords splits words between apostrophes, one space apart.
func quotedWords(s string) ([]string, error) {
	var out []string
	for s != "" {
		if len(out) > 0 {
			if s[0] != ' ' {
				return nil, errors.New("parse command: no space between two words")
			}
			s = s[1:]
		}
		if s == "" || s[0] != '\'' {
			return nil, errors.New("parse command: a word is not quoted")
		}
		end := strings.IndexByte(s[1:], '\'')
		if end < 0 {
			return nil, errors.New("parse command: a quote is not closed")
		}
		out = append(out, s[1:1+end])
		s = s[end+2:]
	}
	return out, nil
}

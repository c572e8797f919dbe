#!/bin/sh
# Plants one bug after the other in a copy of the kernel core and runs the model against it: every one has to be found.
# Usage: tests/model/planted.sh DIRECTORY (the copy and its build; results in DIRECTORY/result). planted.md is what it said.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
rev=$(git -C "$root" rev-parse HEAD)
work=$1
mkdir -p "$work"
export CARGO_TARGET_DIR="$work/target" RUST_BACKTRACE=0
src="$work/tree/kernel/core/src"
: > "$work/result"

copy() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    (cd "$root" && git archive "$rev") | tar x -C "$work/tree"
}

# plant NAME FILE PERL-SUBSTITUTION
plant() {
    git -C "$root" show "$rev:kernel/core/src/$2" > "$src/$2"
    before=$(cksum < "$src/$2")
    perl -0pi -e "$3" "$src/$2"
    if [ "$before" = "$(cksum < "$src/$2")" ]; then
        echo "$1 | $2 | NOT PLANTED" >> "$work/result"
        return
    fi
    found="NOT FOUND"
    (cd "$work/tree" && cargo test -q -p sal-model --no-run) > "$work/out" 2>&1 || found="does not compile"
    if [ "$found" = "NOT FOUND" ]; then
        for test in messages worlds race; do
            status=0
            (cd "$work/tree" && timeout 60 cargo test -q -p sal-model --test "$test") > "$work/out" 2>&1 || status=$?
            if [ "$status" = 124 ]; then
                found="$test: hangs"
                break
            elif [ "$status" != 0 ]; then
                found="$test: $(grep -A1 'panicked at' "$work/out" | sed -n 2p)"
                break
            fi
        done
    fi
    echo "$1 | $2 | $found" >> "$work/result"
    git -C "$root" show "$rev:kernel/core/src/$2" > "$src/$2"
}

copy
plant "boosts go out under the endpoint's lock" message.rs 's/drop\(at\);\n(\s*self\.boost_all\(cpu, servers, priority, 0\);)/$1\n        drop(at);/'
plant "an equal caller goes before those who wait" endpoint.rs 's/t\.priority < priority => before/t.priority <= priority => before/'
plant "settling before the error is written" step.rs 's/if result\.is_ok\(\) \{/{/'
plant "bits drop the lent priority" message.rs 's/t\.priority = t\.priority\.max\(waiting\.unwrap_or\(0\)\);//'
plant "the last pending notification is not known after a close" notification.rs 's/at\.last_notified = before;//'
plant "a dying server does not drop its caller" lifecycle.rs 's/self\.drop_caller\(cpu, index\);//'
plant "a dead thread stays a server" lifecycle.rs 's/at\.remove_server\(index\);//'
plant "an interrupt ends every wait from now on" poke.rs 's/slot\.pending\.fetch_and\(!pending::INTERRUPT, Ordering::AcqRel\);//'
plant "wait numbers begin anew" create.rs 's/sequence: t\.sequence,/sequence: 0,/'
plant "a ready bit stays" ready.rs 's/if self\.heads\[p\] == NONE \{/if false {/'
plant "a receiver is adopted after the lock" message.rs 's/(let receiver = self\.threads\.adopt\(&cpu\.hold, won\);)\n\s*drop\(at\);\n(\s*self\.deliver)/drop(at);\n                $1\n$2/'
plant "children of a closed capability are lost" caps.rs 's/attach\(slots, child - 1, parent\);//'
plant "an endpoint ends without telling its callers" lifecycle.rs 's/self\.finish_won\(cpu, won, Error::Dead\);/let _ = won;/'
plant "an idle CPU does not say so" kernel.rs 's/post\.idle\.store\(true, Ordering::Release\);//'
plant "a server is not lent its caller's priority" message.rs 's/r\.priority = c\.priority\.max\(r\.floor\);//'
plant "a deadline ends without its wait" poke.rs 's/if word\.sequence\(\) == sequence\n/if word.sequence() != sequence\n/'
plant "a kept caller stays in its server's name" message.rs 's/self\.put_back\(cpu, caller, Location::Kept\(index\), &kept\.cell\)/self.put_back(cpu, caller, Location::Served(me), &kept.cell)/'
plant "only the first of a list is woken" threads.rs 's/each\(Won \{ index \}\);/return each(Won { index });/'
plant "a kill does not follow a thread" poke.rs 's/self\.see\(cpu, index\);\n    \}\n\n    \/\/\/ Is the thread to end/}\n\n    \/\/\/ Is the thread to end/'
plant "bits overtake nobody" message.rs 's/if let Some\(\(badge, bits\)\) = self\.notifications\.pop\(&mut at\) \{/if at.first_caller().is_none() \&\& let Some((badge, bits)) = self.notifications.pop(\&mut at) {/'
cat "$work/result"

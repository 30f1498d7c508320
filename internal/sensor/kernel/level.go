package kernel

import "fmt"

// Level is what can be done about a file that must not run. A higher one includes the lower ones.
type Level uint8

// The levels.
const (
	None         Level = iota // this kernel cannot even be watched
	Observe                   // told
	Kill                      // ended before its first instruction, by a signal
	DenyFanotify              // the exec fails; programs in memory are ended
	DenyLSM                   // the exec fails, whatever the file system
)

func (l Level) String() string {
	names := [...]string{"none", "observe", "kill", "deny-fanotify", "deny-lsm"}
	if int(l) >= len(names) {
		return fmt.Sprintf("level %d", uint8(l))
	}
	return names[l]
}

// MarshalText is for JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText reads what String writes.
func (l *Level) UnmarshalText(text []byte) error {
	for one := None; one <= DenyLSM; one++ {
		if one.String() == string(text) {
			*l = one
			return nil
		}
	}
	return fmt.Errorf("kernel: no enforcement level %q", text)
}

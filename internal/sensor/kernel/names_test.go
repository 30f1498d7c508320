package kernel

import (
	"fmt"
	"os"
	"testing"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// The kernel remembers what a name means, so every way to give a file another meaning is gone here.
func TestAFileThatWasOpenedAndThenRenamedIsJudgedByItsNewName(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		for _, name := range []string{"notes", "plain", "key"} { // of the image: what a shell reads of the upper layer is code
			if err := os.WriteFile(l.Path("lower1", name), []byte("1\n"), 0o644); err != nil {
				return err
			}
		}
		// In one shell, so that the kernel's own entries for the names are kept from line to line.
		line := fmt.Sprintf(`set -e; cd %s
seen() { for again in 1 2 3; do read x < "$1"; done; }
mkdir open; echo 1 > open/id
for f in notes plain key open/id; do seen $f; done
mv notes notes.py; seen notes.py
mv plain other;    seen other; mv other back.rb; seen back.rb
mv key .npmrc;     seen .npmrc
mv open .ssh;      seen .ssh/id
echo 1 > last.lua; seen last.lua`, l.Merged(""))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		if _, err := w.find(l.ID, of(Open, "/last.lua")); err != nil {
			return err
		}
		for _, path := range []string{"/notes.py", "/back.rb", "/.npmrc", "/.ssh/id"} {
			if w.count(l.ID, of(Open, path)) == 0 {
				return fmt.Errorf("%s was not told under its new name", path)
			}
		}
		for _, path := range []string{"/notes", "/plain", "/other", "/key"} {
			if w.count(l.ID, of(Open, path)) != 0 {
				return fmt.Errorf("%s was told", path)
			}
		}
		for _, path := range []string{"/.npmrc", "/.ssh/id"} {
			if w.count(l.ID, func(e Event) bool { return of(Open, path)(e) && e.Sensitive }) == 0 {
				return fmt.Errorf("%s was not told as sensitive", path)
			}
		}
		return nil
	})
}

// A file of an image whose name says nothing is data until it is replaced by one that may be executed.
func TestAFileThatWasReplacedByAnExecutableOneIsTold(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		if err := os.WriteFile(l.Path("lower1", "tool"), []byte("1"), 0o755); err != nil {
			return err
		}
		line := fmt.Sprintf(`cd %s; read x < tool; read x < tool; rm tool; echo 2 > tool; chmod +x tool; exec cat tool`, l.Merged(""))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		e, err := w.find(l.ID, of(Open, "/tool"))
		if err == nil && e.File.Origin != OriginUpper {
			err = fmt.Errorf("a file of the image was told: %+v", e)
		}
		return err
	})
}

package e2e

import (
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// acme makes the organisation that most transcripts publish as: it owns the npm scope @acme and
// the image names below acme/ and the Python projects acme-*, readable by everybody or, with "private", by its members.
//
//	acme [private]
func acme(ts *testscript.TestScript, neg bool, args []string) {
	must(ts, "hullmark", "org", "create", "acme")
	for _, namespace := range [][]string{{"npm", "@acme"}, {"oci", "acme"}, {"pypi", "acme-*"}} {
		claim := []string{"namespace", "claim", namespace[0], namespace[1], "--org", "acme"}
		if len(args) == 0 {
			claim = append(claim, "--public")
		}
		must(ts, "hullmark", claim...)
	}
}

func must(ts *testscript.TestScript, program string, args ...string) {
	if err := ts.Exec(program, args...); err != nil {
		ts.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, ts.ReadFile("stderr"))
	}
}

// exits checks a command's exit code; what it printed can be matched afterwards.
//
//	exits CODE COMMAND ARG...
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := exitCode(ts, args[1:])
	ts.Logf("[stdout]\n%s[stderr]\n%s", ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	if got != want {
		ts.Fatalf("exit code %d; expected %d", got, want)
	}
}

// exitCode runs a command; the transcript fails when it cannot be run at all.
func exitCode(ts *testscript.TestScript, command []string) int {
	err := ts.Exec(command[0], command[1:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	ts.Check(err)
	return 0
}

// eventually repeats a command until it succeeds, for what the server promises to do soon and not
// at once. Another process decides when, so there is nothing to wait on but the clock.
//
//	eventually SECONDS COMMAND ARG...
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: eventually SECONDS COMMAND ARG...")
	}
	seconds, err := strconv.Atoi(args[0])
	ts.Check(err)
	for end := time.Now().Add(time.Duration(seconds) * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if exitCode(ts, args[1:]) == 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("still failing after %d s:\n%s%s", seconds, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
}

// keep puts the last command's output, without the line end, into a variable.
//
//	keep NAME
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	value := strings.TrimSpace(ts.ReadFile("stdout"))
	if value == "" {
		ts.Fatalf("nothing was printed that could be kept as %s", args[0])
	}
	ts.Setenv(args[0], value)
}

// tamper flips one bit at each of COUNT places spread over FILE, one at a time, and runs the
// command on each result: every one must be noticed (exit code 7). FILE is whole again afterwards.
//
//	tamper COUNT FILE COMMAND ARG...
func tamper(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 3 {
		ts.Fatalf("usage: tamper COUNT FILE COMMAND ARG...")
	}
	count, err := strconv.Atoi(args[0])
	ts.Check(err)
	path := ts.MkAbs(args[1])
	whole, err := os.ReadFile(path)
	ts.Check(err)
	for i := range count {
		at := i * len(whole) / count
		changed := append([]byte(nil), whole...)
		changed[at] ^= 1
		ts.Check(os.WriteFile(path, changed, 0o600))
		if code := exitCode(ts, args[2:]); code != 7 {
			context := changed[max(0, at-40):min(len(changed), at+40)]
			ts.Fatalf("a flipped bit in byte %d went by with exit code %d, near %q\n%s%s",
				at, code, context, ts.ReadFile("stdout"), ts.ReadFile("stderr"))
		}
	}
	ts.Check(os.WriteFile(path, whole, 0o600))
}

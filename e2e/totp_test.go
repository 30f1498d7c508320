package e2e

import (
	"strconv"
	"time"

	"github.com/pquerna/otp/totp"
	"github.com/rogpeppe/go-internal/testscript"
)

// totpCode puts the code that an authenticator app shows some 30 s steps from now into a variable. A
// server takes the codes of the steps before, of now and after, each once and none before a later one.
//
//	totp NAME SECRET STEPS
func totpCode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: totp NAME SECRET STEPS")
	}
	steps, err := strconv.Atoi(args[2])
	ts.Check(err)
	code, err := totp.GenerateCode(args[1], time.Now().Add(time.Duration(steps)*30*time.Second))
	ts.Check(err)
	ts.Setenv(args[0], code)
}

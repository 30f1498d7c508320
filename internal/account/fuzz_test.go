package account

import (
	"strings"
	"testing"
)

// A code that was cleaned is not cleaned into another one: two spellings are one code or they are two.
func FuzzDigitsOf(f *testing.F) {
	for _, seed := range []string{"123456", "123 456", " 12-34-56\n", "\u00a0123\u202f456", "", "hmp_x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, code string) {
		clean := digitsOf(code)
		if digitsOf(clean) != clean && strings.TrimSpace(clean) == clean {
			t.Errorf("%q cleans to %q and that to %q", code, clean, digitsOf(clean))
		}
		if looksTOTP(clean) && len(clean) != totpDigits {
			t.Errorf("%q looks like a code", clean)
		}
	})
}

func FuzzIsCommon(f *testing.F) {
	f.Add("password1234", "ada")
	f.Add("correct horse battery", "correct")
	f.Fuzz(func(t *testing.T, password, account string) {
		if len(password) > maxCommon {
			return
		}
		if !isCommon(password, account) {
			return
		}
		if !isCommon(password+"1", account) {
			t.Errorf("%q is common and with a digit more it is not", password)
		}
	})
}

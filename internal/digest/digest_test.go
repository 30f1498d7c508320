package digest

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
)

// empty is the SHA-256 of nothing, empty512 its SHA-512. Source: FIPS 180-4 example values.
const (
	empty    = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	empty512 = "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce" +
		"47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
)

func TestParse(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, in string
		ok       bool
	}{
		{"sha256 is taken", empty, true},
		{"sha512 is taken", empty512, true},
		{"nothing is refused", "", false},
		{"hex without an algorithm is refused", empty[7:], false},
		{"an algorithm without hex is refused", "sha256:", false},
		{"one digit less is refused", empty[:len(empty)-1], false},
		{"one digit more is refused", empty + "0", false},
		{"upper case is refused, or one content had two names", strings.ToUpper(empty[:7]) + empty[7:], false},
		{"upper-case hex is refused", empty[:7] + strings.ToUpper(empty[7:]), false},
		{"another algorithm of the same length is refused", "sha3-256:" + empty[7:], false},
		{"a sha256 sum is no sha512", "sha512:" + empty[7:], false},
		{"a path is refused", empty[:len(empty)-3] + "/..", false},
		{"a second colon is refused", "sha256::" + empty[8:], false},
	} {
		d, err := Parse(c.in)
		if (err == nil) != c.ok || c.ok && string(d) != c.in || !c.ok && d != "" {
			t.Errorf("%s: got %q, %v", c.name, d, err)
		}
		if err != nil && fault.As(err).Code != "digest-invalid" {
			t.Errorf("%s: the code is %s", c.name, fault.As(err).Code)
		}
	}
}

func TestPartsOfADigest(t *testing.T) {
	t.Parallel()
	d := Digest(empty)
	if d.Algorithm() != SHA256 || d.Hex() != empty[7:] || d.Short() != "e3b0c44298fc" || d.String() != empty {
		t.Errorf("got %s %s %s", d.Algorithm(), d.Hex(), d.Short())
	}
	if none := Digest(""); none.Hex() != "" || none.Short() != "" {
		t.Errorf("no digest has the parts %q and %q", none.Hex(), none.Short())
	}
}

func TestAllWaysToHashAgree(t *testing.T) {
	t.Parallel()
	read, n, err := FromReader(strings.NewReader(""))
	if err != nil || n != 0 || read != empty || FromBytes(nil) != empty {
		t.Errorf("got %s and %s, %v", read, FromBytes(nil), err)
	}
	for alg, want := range map[string]Digest{SHA256: empty, SHA512: empty512} {
		if got := Sum(alg, NewHash(alg)); got != want {
			t.Errorf("%s: got %s", alg, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{empty, empty512, "", "sha256:", ":", "sha256:" + strings.Repeat("g", 64), "a:b:c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Parse(s)
		if err != nil {
			return
		}
		if string(d) != s || d.Algorithm()+":"+d.Hex() != s || len(d.Hex()) != NewHash(d.Algorithm()).Size()*2 {
			t.Errorf("%q was taken as %s %s", s, d.Algorithm(), d.Hex())
		}
	})
}

package nupkg

import (
	"slices"
	"testing"
)

func TestVersionsHaveOneNormalForm(t *testing.T) {
	t.Parallel()
	for spelt, want := range map[string]string{
		"1.0": "1.0.0", "1": "1.0.0", "1.00": "1.0.0", "1.01.1": "1.1.1", "1.00.0.1": "1.0.0.1", "1.0.0.0": "1.0.0", "1.0.01.0": "1.0.1",
		"1.0.7+r3456": "1.0.7", "1.0.0-Beta": "1.0.0-beta", "1.0-alpha.1+B": "1.0.0-alpha.1", "2147483647.0.0": "2147483647.0.0", "1.0.0-01": "1.0.0-01",
	} {
		v, err := ParseVersion(spelt)
		if err != nil || v.Key() != want {
			t.Errorf("%q: got %q, %v; want %q", spelt, v.Key(), err, want)
		}
	}
	for _, spelt := range []string{"", "a", "1.a", "1.0.0.0.0", "1..0", "1.0.0-", "1.0.0+", "1.0.0-a..b", "1.0.0-ä", "-1", "+1", "1.+1", "2147483648", "1.0.0 ", " 1", "1_0", string(make([]byte, 65))} {
		if v, err := ParseVersion(spelt); err == nil {
			t.Errorf("%q was taken for %q", spelt, v)
		}
	}
}

func TestVersionsAreOrderedAsNuGetDoes(t *testing.T) {
	t.Parallel()
	want := []string{"0.9", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0-99999999999", "1.0.0-alpha", "1.0.0-ALPHA.1", "1.0.0-alpha.beta", "1.0.0-Beta", "1.0.0", "1.0.0.1", "1.0.1", "1.10.0"}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, CompareKeys)
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if CompareKeys("1.0.0-ALPHA", "1.0-alpha+x") != 0 {
		t.Error("letter case, missing numbers or metadata made a difference")
	}
}

func TestRangesAreWrittenAsRegistrationsDo(t *testing.T) {
	t.Parallel()
	for spelt, want := range map[string]string{
		"": "(, )", "1.0": "[1.0.0, )", "[1.0]": "[1.0.0]", "[1.0,2.0)": "[1.0.0, 2.0.0)", "(,1.0.0.0]": "(, 1.0.0]", "(1.0,)": "(1.0.0, )", "1.*": "1.*", "[,": "[, ,",
	} {
		if got := VersionRange(spelt); got != want {
			t.Errorf("%q: got %q, want %q", spelt, got, want)
		}
	}
}

func TestSemVer2IsWhatOldClientsCannotRead(t *testing.T) {
	t.Parallel()
	for spelt, want := range map[string]bool{"1.0.0": false, "1.0.0-beta": false, "1.0.0-beta.1": true, "1.0.0+x": true} {
		v, err := ParseVersion(spelt)
		if err != nil || v.SemVer2() != want {
			t.Errorf("%q: got %v, %v", spelt, v.SemVer2(), err)
		}
		if SemVer2Range("["+spelt+", )") != want {
			t.Errorf("a range from %q: want %v", spelt, want)
		}
	}
}

func FuzzVersion(f *testing.F) {
	for _, s := range []string{"1.0", "1.0.0.1-beta.2+x", "1.0.0-", "[1.0,2.0)"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		VersionRange(s)
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		again, err := ParseVersion(v.Full())
		if err != nil || again.Full() != v.Full() || again.Compare(v) != 0 {
			t.Errorf("%q is %q, which is %q, %v", s, v.Full(), again.Full(), err)
		}
	})
}

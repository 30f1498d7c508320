package registry

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func TestNamesFoundInMemoryAreThoseThatAnySearchWouldFind(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	letters := []string{"a", "b", "B", "-", "Ä", "ä", "/"}
	word := func(longest int) string {
		var b strings.Builder
		for range random.IntN(longest) {
			b.WriteString(letters[random.IntN(len(letters))])
		}
		return b.String()
	}
	l, all := &nameList{revision: -1}, map[string]bool{}
	for revision := range int64(60) {
		changed := map[string]named{}
		for range random.IntN(12) {
			name := "n" + word(6)
			changed[name] = named{name: name, revision: revision, hosted: random.IntN(3) > 0}
		}
		var sorted []named
		for name, one := range changed {
			all[name] = one.hosted
			sorted = append(sorted, one)
		}
		slices.SortFunc(sorted, func(a, b named) int { return strings.Compare(a.name, b.name) })
		l = l.with(sorted)
		for range 40 {
			text, after, limit, mirrored := word(4), word(3), random.IntN(8)-1, random.IntN(2) == 0
			var want []string
			for name, hosted := range all {
				if name > after && (hosted || mirrored) && strings.Contains(smallLetters(name), smallLetters(text)) {
					want = append(want, name)
				}
			}
			slices.Sort(want)
			if limit >= 0 {
				want = want[:min(limit, len(want))]
			}
			if got := l.find(text, after, limit, mirrored); fmt.Sprint(got) != fmt.Sprint(want) {
				t.Fatalf("find(%q, %q, %d, %t) of %d names = %q, want %q", text, after, limit, mirrored, len(all), got, want)
			}
		}
	}
	if len(all) < 100 {
		t.Errorf("only %d names were tried", len(all))
	}
}

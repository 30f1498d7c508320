// Package similar finds names that a person could take for another one: typosquats. It compares a
// name that somebody wants to claim with the names that are claimed here and with the most used
// names of the ecosystem's public registry.
//
// Names are compared as spelt (edit distance, neighbours on the keyboard) and as seen (separators
// and scopes dropped, characters that look alike made equal, words in another order). What it does
// not find: names that mislead by their meaning ("crypto-miner-free"). What it finds may be honest;
// so the caller lets somebody overrule it.
//
// Sources: PyPI's "ultranormalize_name" and its typo check (warehouse, packaging/typosnyper.py), the
// catalogue of Taylor et al., "SpellBound: Defending Against Package Typosquatting" (2020).
package similar

import (
	"embed"
	"slices"
	"strings"
	"sync"
)

// topFS has a file per ecosystem with its most used names, one a line, the most used first.
// npm's are those of npm-high-impact 1.13; the others are chosen by hand and short.
//
//go:embed top/*.txt
var topFS embed.FS

// Match is a name that a wanted one is too like.
type Match struct {
	Name string
	// Why ends the sentence "it is too like Name: …".
	Why string
	// Here says that the name is claimed here, else it is a well-known public one.
	Here bool
}

// Names compares within one ecosystem. It is safe for concurrent use.
type Names struct {
	top func() []form
}

// In returns the names of an ecosystem, by its purl type. An ecosystem without a list of well-known
// names compares with those that are claimed here only.
func In(ecosystem string) *Names {
	return &Names{top: sync.OnceValue(func() []form {
		raw, err := topFS.ReadFile("top/" + ecosystem + ".txt")
		if err != nil {
			return nil
		}
		var forms []form
		scopes := map[string]bool{}
		for _, name := range strings.Fields(string(raw)) {
			forms = append(forms, formOf(name))
			if scope, _, ok := strings.Cut(name, "/"); ok && name[0] == '@' && !scopes[scope] {
				scopes[scope] = true
				forms = append(forms, formOf(scope))
			}
		}
		return forms
	})}
}

// Find returns the first name that wanted is too like: one of others, which are claimed here by
// somebody else, or a well-known one. Names are in the ecosystem's normal form.
func (n *Names) Find(wanted string, others []string) (Match, bool) {
	w := formOf(wanted)
	for _, name := range others {
		if why := w.like(formOf(name)); why != "" {
			return Match{Name: name, Why: why, Here: true}, true
		}
	}
	if n.Known(wanted) {
		return Match{}, false // a well-known name is not a misspelling of its neighbours
	}
	for _, known := range n.top() {
		if why := w.like(known); why != "" {
			return Match{Name: known.name, Why: why}, true
		}
	}
	return Match{}, false
}

// Known reports whether the name is a well-known public one itself: whoever hosts it would be
// installed in its place.
func (n *Names) Known(name string) bool {
	return slices.ContainsFunc(n.top(), func(f form) bool { return f.name == name })
}

// form is a name taken apart for comparison.
type form struct {
	name string
	// plain is without scope mark and separators, seen the same with characters that look alike
	// made equal.
	plain, seen string
	words       string // sorted
	scope       bool   // a scope alone, which is compared with scopes
	stem        string // without a language's affix
}

func formOf(name string) form {
	words := strings.FieldsFunc(strings.ToLower(name), isSeparator)
	f := form{name: name, plain: strings.Join(words, ""), scope: strings.HasPrefix(name, "@") && !strings.Contains(name, "/")}
	f.seen = lookalikes.Replace(f.plain)
	f.stem = strings.Join(slices.DeleteFunc(slices.Clone(words), func(w string) bool { return affixes[w] }), "")
	sorted := slices.Sorted(slices.Values(words))
	f.words = strings.Join(sorted, " ")
	return f
}

func isSeparator(r rune) bool { return strings.ContainsRune("@/-_.~", r) }

// lookalikes makes equal what a font or a hurried eye does not tell apart.
var lookalikes = strings.NewReplacer("0", "o", "1", "l", "i", "l", "5", "s", "rn", "m", "vv", "w", "cl", "d")

// affixes say in which language something is written, and so nothing that tells two names of one
// ecosystem apart.
var affixes = map[string]bool{"js": true, "node": true, "nodejs": true, "py": true, "python": true, "rb": true, "ruby": true, "net": true}

// The shortest names whose misspellings are looked for: among shorter ones everything is one letter
// from everything.
const (
	minSeen, minSlip, minEdit = 3, 4, 5
	minTwoEdits               = 14
)

// like says why w could be taken for o; "" when it could not. A name is not like itself.
func (w form) like(o form) string {
	switch {
	case w.name == o.name || w.scope != o.scope || len(w.plain) < minSeen || len(o.plain) < minSeen:
		return ""
	case w.plain == o.plain:
		return "only separators or the scope differ"
	case w.seen == o.seen:
		return "the characters look alike"
	case w.words == o.words:
		return "the same words in another order"
	case w.stem == o.stem && len(w.stem) >= minSlip:
		return "only the name of the language differs"
	}
	return slip(w.plain, o.plain)
}

// slip says by which slip of the fingers one name becomes the other.
func slip(a, b string) string {
	short, long := min(len(a), len(b)), max(len(a), len(b))
	if long-short > 2 || short < minSlip || series(a) == series(b) {
		return ""
	}
	switch d := distance(a, b); {
	case d == 1 && single(a) == single(b):
		return "a letter is doubled"
	case d == 1 && len(a) == len(b) && onKeyboard(a, b):
		return "neighbouring keys"
	case d == 1 && len(a) == len(b) && swapped(a, b):
		return "two letters are swapped"
	case d == 1 && short >= minEdit:
		return "one letter differs"
	case d == 2 && short >= minTwoEdits:
		return "two letters differ"
	}
	return ""
}

// series is a name without the number at its end: team1 and team2 are nobody's misspelling.
func series(name string) string { return strings.TrimRight(name, "0123456789") }

// single is a name with repeated letters written once.
func single(name string) string {
	return string(slices.Compact([]byte(name)))
}

// swapped reports whether two strings of one length differ by a transposition.
func swapped(a, b string) bool {
	i := firstDifference(a, b)
	return i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i]
}

// onKeyboard reports whether two strings of one length differ first in two neighbouring keys.
func onKeyboard(a, b string) bool {
	i := firstDifference(a, b)
	return i < len(a) && strings.IndexByte(neighbours[a[i]], b[i]) >= 0
}

func firstDifference(a, b string) int {
	for i := range len(a) {
		if a[i] != b[i] {
			return i
		}
	}
	return len(a)
}

// neighbours are the keys around a key of a QWERTY keyboard, without those that a swap explains better.
var neighbours = map[byte]string{
	'q': "wa", 'w': "qes", 'e': "wrd", 'r': "etf", 't': "ryg", 'y': "tuh", 'u': "yij", 'i': "uok", 'o': "ipl", 'p': "o",
	'a': "qsz", 's': "awdx", 'd': "sefc", 'f': "drgv", 'g': "fthb", 'h': "gyjn", 'j': "hukm", 'k': "jil", 'l': "ko",
	'z': "ax", 'x': "zsc", 'c': "xdv", 'v': "cfb", 'b': "vgn", 'n': "bhm", 'm': "nj",
}

// distance is the Damerau-Levenshtein distance with adjacent transpositions (optimal string
// alignment), in bytes; names are ASCII.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

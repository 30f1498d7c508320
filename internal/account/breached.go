package account

import (
	_ "embed"
	"strings"
	"sync"
)

// commonText is the Openwall list of common passwords, most common first (see docs/dependencies.md).
//
//go:embed common-passwords.txt
var commonText string

// common returns the list as a set; it is read once, by the first password that is set.
var common = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(commonText) {
		if line = strings.TrimSpace(line); len(line) >= minWord && !strings.HasPrefix(line, "#!comment") {
			set[strings.ToLower(line)] = true
		}
	}
	return set
})

const (
	minWord = 3 // shorter entries would be found in anything
	// fewWords is how many of the common passwords a password must have more than. Two of 3,500 are
	// guessed in a day at the pace of stolen hashes; the lists that attackers use have all of them.
	fewWords = 2
)

// rows are what fingers run along.
var rows = []string{
	"01234567890", "09876543210", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "asdfghjkl", "zxcvbnm",
	"qwertzuiop", "azertyuiop", "1q2w3e4r5t6y7u8i9o0p", "qazwsxedcrfvtgbyhnujmikolp",
}

// leet undoes the substitutions that everybody knows.
var leet = strings.NewReplacer("0", "o", "1", "i", "3", "e", "4", "a", "5", "s", "7", "t", "@", "a", "$", "s", "!", "i")

// isCommon reports whether a password is one of the common ones, or put together from at most two of
// them, the account's name, digits, runs and repetitions. Breached lists hold those, for each length.
func isCommon(password, account string) bool {
	return words(strings.ToLower(password), account) <= fewWords
}

const many = 1 << 10

// words returns the least number of common passwords that a text can be cut into, where digits, runs
// and repetitions are free; many when it cannot. Its cost is the length times the longest word's.
func words(text, account string) int {
	least := make([]int, len(text)+1)
	for end := 1; end <= len(text); end++ {
		least[end] = many
		for start := max(0, end-24); start < end; start++ {
			part := text[start:end]
			switch {
			case free(part) || part == account && len(account) >= minWord:
				least[end] = min(least[end], least[start])
			case common()[part], common()[leet.Replace(part)]:
				least[end] = min(least[end], least[start]+1)
			}
		}
	}
	return least[len(text)]
}

// free reports whether a part adds nothing: a digit or sign, a run along a row of keys, one character
// over and over.
func free(part string) bool {
	if len(part) == 1 {
		return part[0] < 'a' || part[0] > 'z' && part[0] < 0x80
	}
	if len(part) < minWord {
		return false
	}
	if strings.Trim(part, part[:1]) == "" {
		return true
	}
	for _, row := range rows {
		if len(part) > minWord && strings.Contains(row, part) {
			return true
		}
	}
	return false
}

package policy

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
)

//go:embed shipped/*.yaml
var shipped embed.FS

// ShippedDocument returns the text of a shipped policy with its comments, to be edited.
func ShippedDocument(name string) (document []byte, ok bool) {
	if !policyName.MatchString(name) {
		return nil, false
	}
	text, err := shipped.ReadFile("shipped/" + name + ".yaml")
	return text, err == nil
}

// ShippedNames returns the names of the shipped policies in order.
func ShippedNames() []string {
	files, err := fs.Glob(shipped, "shipped/*.yaml")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(strings.TrimPrefix(f, "shipped/"), ".yaml")
	}
	return files
}

// Shipped returns the policies that are in force when nobody has put others: recalls are enforced,
// everything else warns or is on the record.
func Shipped() Set {
	var all []byte
	for _, name := range ShippedNames() {
		text, _ := ShippedDocument(name)
		all = append(append(all, "---\n"...), text...)
	}
	set, err := Parse(all)
	if err != nil {
		panic(fmt.Sprintf("policy: a shipped policy is broken: %v", err)) // a test compiles them
	}
	return set
}

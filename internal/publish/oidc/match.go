package oidc

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// match compares a token with a publisher of its issuer. It returns what the publisher learns from it, and
// what does not match: a sentence for each field, which repeats the token and never the publisher.
func (p *Publisher) match(prov *provider, c Claims) (learnt map[string]string, mismatches []string, ours bool) {
	learnt = map[string]string{}
	ours = true
	for i, f := range prov.fields {
		if why := f.compare(p, c, learnt); why != "" {
			mismatches = append(mismatches, why)
			ours = ours && i > 0
		}
	}
	if prov.open {
		for name, want := range p.Claims {
			if c.Text(name) != want {
				mismatches = append(mismatches, differs(name, c.Text(name)))
				ours = false // nobody told us which of them says whose it is
			}
		}
		slices.Sort(mismatches)
	}
	for _, name := range prov.required {
		if c.Text(name) == "" {
			mismatches = append(mismatches, differs(name, ""))
		}
	}
	for name, want := range prov.equals {
		if c.Text(name) != want {
			mismatches = append(mismatches, fmt.Sprintf("%s must be %s", name, want))
		}
	}
	return learnt, append(mismatches, p.Policy.mismatches(prov, c)...), ours
}

// compare says how a token differs in one field; empty when it does not. What is learnt goes into learnt.
func (f *field) compare(p *Publisher, c Claims, learnt map[string]string) string {
	want := p.Claims[f.name]
	if want == "" {
		want = p.Learnt[f.name]
	}
	got := c.Text(f.claim)
	switch {
	case want == "" && !f.learnt:
		return ""
	case want == "":
		if got != "" && len(got) <= maxPin {
			learnt[f.name] = got
		}
		return ""
	case f.match != nil:
		if !f.match(want, c, p) {
			return f.name + " does not match"
		}
		return ""
	case got == want, f.fold && strings.EqualFold(got, want):
		return ""
	}
	return differs(f.name, got)
}

func differs(name, got string) string {
	if got == "" {
		return name + " is missing from the token"
	}
	return fmt.Sprintf("%s does not match (the token says %q)", name, clip(got))
}

// mismatches says what the policy has against a run.
func (p Policy) mismatches(prov *provider, c Claims) []string {
	var out []string
	event := c.Text(prov.event)
	switch {
	case len(p.Events) > 0 && !slices.Contains(p.Events, event):
		out = append(out, fmt.Sprintf("event %q is not allowed", clip(event)))
	case len(p.Events) == 0 && slices.Contains(prov.refused, event):
		out = append(out, fmt.Sprintf("event %q is refused unless a publisher allows it: a stranger's pull request can cause it", clip(event)))
	}
	if len(p.Refs) > 0 {
		ref := prov.ref(c)
		if !slices.ContainsFunc(p.Refs, func(pattern string) bool { ok, err := path.Match(pattern, ref); return err == nil && ok }) {
			out = append(out, fmt.Sprintf("ref %q is not allowed", clip(ref)))
		}
	}
	if p.Protected && c.Text(prov.protected) != "true" {
		out = append(out, "the reference is not protected")
	}
	if p.Runner != "" && c.Text(prov.runner) != p.Runner {
		out = append(out, fmt.Sprintf("runner %q is not allowed", clip(c.Text(prov.runner))))
	}
	return out
}

// narrowness orders publishers that all match: the one that demands most is the one that is meant.
func (p *Publisher) narrowness() int {
	n := len(p.Claims) + len(p.Policy.Events) + len(p.Policy.Refs)
	if p.Policy.Protected {
		n++
	}
	if p.Policy.Runner != "" {
		n++
	}
	return n
}

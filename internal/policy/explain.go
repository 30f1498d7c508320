package policy

import (
	"cmp"
	"fmt"
	"strings"
)

// Explain tells a verdict to people: what denies first, then what warns, one failure a paragraph.
// Findings at lower stages, and those under an exception, are for the record.
func Explain(v Verdict) string {
	var denials, others []string
	for _, f := range v.Findings {
		switch {
		case f.Denies():
			denials = append(denials, f.Sentence())
		case f.Warns():
			others = append(others, f.Sentence())
		}
	}
	return strings.Join(append(denials, others...), "\n")
}

// Denies reports whether the failure makes its verdict a denial.
func (f Failure) Denies() bool { return f.Stage == Enforce && f.Exception == 0 }

// Warns reports whether the client is to be warned of it: at the stage warn, and where an exception is
// what lets the image in.
func (f Failure) Warns() bool {
	return f.Stage == Warn || f.Stage == Enforce && f.Exception != 0
}

// Sentence tells one failure: image, component, release, publisher, policy, what is missing, and how to ask for an
// exception.
func (f Failure) Sentence() string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s: image %s", f.Policy, f.Image)
	if f.Digest != "" && !strings.Contains(f.Image, f.Digest) {
		fmt.Fprintf(&b, " (%s)", brief(f.Digest))
	}
	if f.Container != "" {
		fmt.Fprintf(&b, ", container %s", f.Container)
	}
	if f.Component != "" {
		fmt.Fprintf(&b, ", component %s (%s)", f.Release, f.Component)
	}
	if f.Publisher != "" {
		fmt.Fprintf(&b, ", published by %s", f.Publisher)
	}
	b.WriteString(": " + ended(f.Message))
	if f.Missing != "" {
		b.WriteString(" To meet it: " + ended(f.Missing))
	}
	if f.Exception != 0 {
		fmt.Fprintf(&b, " Let past by exception #%d.", f.Exception)
		return b.String()
	}
	b.WriteString(" To ask for an exception: " + f.ExceptionCommand())
	return b.String()
}

// brief shortens a digest for reading; the command has it whole.
func brief(digest string) string {
	const enough = len("sha256:") + 12
	if len(digest) <= enough {
		return digest
	}
	return digest[:enough] + "…"
}

// ExceptionCommand is the command that asks for an exception as narrow as the failure.
func (f Failure) ExceptionCommand() string {
	args := []string{"hullmark exception request", "--policy", quoted(f.Policy)}
	for _, a := range []struct{ flag, value string }{
		{"--namespace", f.Namespace}, {"--image", cmp.Or(f.Digest, f.Image)}, {"--component", f.Component},
	} {
		if a.value != "" {
			args = append(args, a.flag, quoted(a.value))
		}
	}
	return strings.Join(append(args, "--reason … --ticket … --expires 7d"), " ")
}

// quoted makes a word safe to paste into a shell.
func quoted(s string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("@%+=:,./_-", r)
	}
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return !safe(r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func ended(s string) string {
	if s == "" || strings.HasSuffix(s, ".") || strings.HasSuffix(s, "!") || strings.HasSuffix(s, "?") {
		return s
	}
	return s + "."
}

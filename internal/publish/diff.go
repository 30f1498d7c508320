package publish

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// What a difference shows to a reviewer. The totals are always whole.
const (
	maxFiles   = 500
	maxHooks   = 200
	maxCommand = 2000 // bytes of a command or a name
)

// What of it the decision keeps: a statement takes 64 KiB, and every byte here can need two in JSON.
const (
	briefFiles   = 20
	briefHooks   = 8
	briefRuns    = 5   // files of one hook
	briefName    = 100 // bytes
	briefCommand = 250 // bytes of a command or a path
)

// How something differs from the version before.
const (
	Added   = "added"
	Changed = "changed"
	Removed = "removed"
)

// Diff is how a version differs from the one before it.
type Diff struct {
	Against string // version; empty when there is none that may be trusted
	Hooks   []HookChange
	Files   []FileChange // the first of them, by path
	// Added, Changed and Removed count all files.
	Added, Changed, Removed int
	// What is news of what the reader noticed; the first of each.
	Programs, Hosts, Opaque []evidence.Mark
	Dependencies            []evidence.Dependency
	// Made is what differs of what it is put together from.
	Made []MadeChange
}

// HookChange is an install hook that differs.
type HookChange struct {
	Name    string `json:"name"`
	Change  string `json:"change"`            // Added, Changed or Removed
	Before  string `json:"before,omitempty"`  // command
	Command string `json:"command,omitempty"` // command
	// Files are those of the files it runs whose content is new or different.
	Files []string `json:"files,omitempty"`
}

// FileChange is a file that differs.
type FileChange struct {
	Path   string
	Change string
	Before int64 // bytes
	Size   int64 // bytes
	SHA256 digest.Digest
}

// Compare returns how after differs from before.
func Compare(before, after *evidence.Inventory) Diff {
	var d Diff
	was, is := byPath(before), byPath(after)
	for p, f := range is {
		old, known := was[p]
		switch {
		case !known:
			d.Added++
			d.Files = append(d.Files, FileChange{Path: p, Change: Added, Size: f.Size, SHA256: f.SHA256})
		case old.SHA256 != f.SHA256:
			d.Changed++
			d.Files = append(d.Files, FileChange{Path: p, Change: Changed, Before: old.Size, Size: f.Size, SHA256: f.SHA256})
		}
	}
	for p, f := range was {
		if _, kept := is[p]; !kept {
			d.Removed++
			d.Files = append(d.Files, FileChange{Path: p, Change: Removed, Before: f.Size, SHA256: f.SHA256})
		}
	}
	slices.SortFunc(d.Files, func(a, b FileChange) int { return cmp.Compare(a.Path, b.Path) })
	d.Files = d.Files[:min(len(d.Files), maxFiles)]
	d.Hooks = compareHooks(before.Hooks, after.Hooks, was, is)
	d.compareSignals(before, after)
	return d
}

func byPath(inv *evidence.Inventory) map[string]evidence.File {
	m := make(map[string]evidence.File, len(inv.Files))
	for _, f := range inv.Files {
		m[f.Path] = f
	}
	return m
}

func compareHooks(before, after []evidence.InstallHook, was, is map[string]evidence.File) []HookChange {
	var out []HookChange
	old, kept := map[string]evidence.InstallHook{}, map[string]bool{}
	for _, h := range before {
		old[h.Name] = h
	}
	for _, h := range after {
		kept[h.Name] = true
		change := HookChange{Name: clip(h.Name, maxCommand), Change: Added, Command: clip(h.Command, maxCommand)}
		for _, p := range h.Files {
			if was[p].SHA256 != is[p].SHA256 {
				change.Files = append(change.Files, clip(p, maxCommand))
			}
		}
		change.Files = change.Files[:min(len(change.Files), maxHooks)]
		if o, known := old[h.Name]; known {
			if o.Command == h.Command && len(change.Files) == 0 {
				continue
			}
			change.Change, change.Before = Changed, clip(o.Command, maxCommand)
		}
		out = append(out, change)
	}
	for _, o := range before {
		if !kept[o.Name] {
			out = append(out, HookChange{Name: clip(o.Name, maxCommand), Change: Removed, Before: clip(o.Command, maxCommand)})
		}
	}
	return out[:min(len(out), maxHooks)]
}

// code is the rule that the difference falls under, or "".
func (d Diff) code() string {
	code := ""
	for _, h := range d.Hooks {
		switch h.Change {
		case Added:
			return HookNew
		case Changed:
			code = HookChanged
		}
	}
	return code
}

// summary says it in half a sentence.
func (d Diff) summary() string {
	var names []string
	verb := "changes"
	for _, h := range d.Hooks {
		if h.Change != Removed && len(names) < briefHooks {
			names = append(names, clip(h.Name, briefName))
		}
		if h.Change == Added {
			verb = "adds"
		}
	}
	return fmt.Sprintf("it %s an install script (%s) %s", verb, strings.Join(names, ", "), d.than())
}

func (d Diff) than() string {
	if d.Against == "" {
		return "and no version before it is offered"
	}
	return "compared with " + d.Against
}

// brief returns the hooks as the decision keeps them.
func (d Diff) brief() []HookChange {
	hooks := slices.Clone(d.Hooks[:min(len(d.Hooks), briefHooks)])
	for i, h := range hooks {
		files := []string{}
		for _, f := range h.Files[:min(len(h.Files), briefRuns)] {
			files = append(files, clip(f, briefName))
		}
		hooks[i] = HookChange{
			Name: clip(h.Name, briefName), Change: h.Change,
			Before: clip(h.Before, briefCommand), Command: clip(h.Command, briefCommand), Files: files,
		}
	}
	return hooks
}

// lines are what a person has to look at, shortened.
func (d Diff) lines() []string {
	var lines []string
	for _, h := range d.brief() {
		lines = append(lines, h.line())
	}
	if more := len(d.Hooks) - briefHooks; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more install scripts", more))
	}
	for _, m := range d.Made[:min(len(d.Made), briefMade)] {
		lines = append(lines, m.line())
	}
	if more := len(d.Made) - briefMade; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more differences", more))
	}
	for _, f := range d.Files[:min(len(d.Files), briefFiles)] {
		lines = append(lines, f.line())
	}
	if more := d.Added + d.Changed + d.Removed - briefFiles; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more files", more))
	}
	return lines
}

func (h HookChange) line() string {
	text := h.Name + " " + h.Change
	switch {
	case h.Change == Removed:
		text += ": " + h.Before
	case h.Change == Changed && h.Before != h.Command:
		text += ": " + h.Before + " -> " + h.Command
	default:
		text += ": " + h.Command
	}
	if len(h.Files) > 0 {
		text += " (runs " + strings.Join(h.Files, ", ") + ")"
	}
	return text
}

func (f FileChange) line() string {
	switch f.Change {
	case Added:
		return fmt.Sprintf("+ %s (%d bytes, %s)", clip(f.Path, briefCommand), f.Size, f.SHA256)
	case Removed:
		return fmt.Sprintf("- %s (%d bytes)", clip(f.Path, briefCommand), f.Before)
	}
	return fmt.Sprintf("~ %s (%d -> %d bytes, %s)", clip(f.Path, briefCommand), f.Before, f.Size, f.SHA256)
}

// clip bounds foreign text to some bytes and keeps it on its line.
func clip(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit] + "…"
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
}

package alert

import (
	"cmp"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/purl"
)

// Compose returns the sentence of an alert: who, where, did what, with whose content, and under which
// exception it got there.
func (a *Alert) Compose() string {
	parts := []string{a.subject() + " " + a.verb()}
	if a.Code == UnseenExec {
		parts = append(parts, "a component that this image was never seen executing")
	}
	parts = append(parts, a.provenance()...)
	if a.Exception != 0 {
		parts = append(parts, fmt.Sprintf("admitted under exception #%d", a.Exception))
	}
	return strings.Join(parts, ", ") + "; " + a.outcome()
}

func (a *Alert) subject() string {
	where := "container " + a.Container.Name
	switch {
	case a.Container.Pod != "" && a.Container.Namespace != "":
		where = "pod " + a.Container.Namespace + "/" + a.Container.Pod
	case a.Container.Pod != "":
		where = "pod " + a.Container.Pod
	case a.Container.Name == "":
		where = "container " + a.Container.ID[:min(len(a.Container.ID), 12)]
	}
	image := a.Container.Reference
	if image == "" {
		image = string(a.Container.Image)
	}
	if image == "" {
		image = "unknown"
	}
	return fmt.Sprintf("`%s` (%s, image %s)", clean(a.Process.Comm), where, clean(image))
}

func (a *Alert) verb() string {
	what := a.what()
	switch a.Action {
	case "connect":
		return "connected to " + a.Peer + " after loading " + what
	case "exec":
		return "executed " + what
	default:
		return "opened " + what
	}
}

// what names the file by where it comes from.
func (a *Alert) what() string {
	name := "`" + short(a.File.Path) + "`"
	switch {
	case a.File.Origin == "memory":
		return "a program that exists only in memory"
	case a.File.Origin == "container" && a.File.Deleted:
		return name + ", which is in no layer of the image and was deleted"
	case a.File.Origin == "container":
		return name + ", which is in no layer of the image: it was written in the container"
	case a.File.Origin == "changed" && a.Release != nil:
		return name + " of `" + releaseName(a.Release.PURL) + "`, whose content was changed in the container"
	case a.File.Origin == "changed":
		return name + " of the image, whose content was changed in the container"
	case a.Release != nil:
		return name + " of `" + releaseName(a.Release.PURL) + "`"
	case a.File.DiffID != "":
		return name + " of layer " + a.File.DiffID.Short()
	case a.File.Origin == "host":
		return name + ", which is not of the image"
	}
	return name + ", whose layer is not known"
}

func (a *Alert) provenance() []string {
	r := a.Release
	if r == nil {
		return nil
	}
	if r.Published.IsZero() {
		return []string{"not published here"}
	}
	published := "published " + when(r.Published, a.Time)
	switch credential := strings.TrimPrefix(r.Credential, "token:"); {
	case credential != r.Credential:
		published += " by token `" + clean(cmp.Or(r.Label, credential)) + "`"
		if r.Publisher != "" {
			published += " of " + clean(r.Publisher)
		}
	case r.Publisher != "":
		published += " by " + clean(r.Publisher)
	}
	approval := "not approved"
	if r.Approved {
		approval = "approved"
		if r.Approver != "" {
			approval += " by " + clean(r.Approver)
		}
	}
	return []string{published, approval}
}

// outcome says what was done, and at which level the node can do anything.
func (a *Alert) outcome() string {
	done := map[Done]string{
		Observed: "observed, not stopped", Killed: "the process was killed", Denied: "the call was denied",
	}[a.Done]
	return fmt.Sprintf("%s (level %s)", done, a.Level)
}

// when is the clock time of something that happened on the day of the event, else with its date; UTC.
func when(t, event time.Time) string {
	t, event = t.UTC(), event.UTC()
	if t.Format(time.DateOnly) == event.Format(time.DateOnly) {
		return t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// releaseName is how people write a release: "@acme/ui-kit 4.2.1".
func releaseName(p string) string {
	_, name, version := purl.PURL(p).Split()
	return strings.TrimSpace(clean(name) + " " + clean(version))
}

// short keeps the last part of a long path.
func short(p string) string {
	p = clean(p)
	if strings.Count(p, "/") <= 2 {
		return p
	}
	return "…/" + path.Base(p)
}

// clean takes out what a file name could do to a terminal or to the quoting of the sentence.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '`' || r >= 0x80 && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 {
			return '\uFFFD'
		}
		return r
	}, s)
}

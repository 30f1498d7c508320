package console

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
)

type stageView struct {
	publish.Hold
	Own     bool // who looks at it brought it in
	Already bool // who looks at it has approved it
	Fresh   bool // a passkey was shown lately
	Means   means
	Problem string
	Reason  string
}

// Differs counts the files that differ.
func (v stageView) Differs() int { return v.Diff.Added + v.Diff.Changed + v.Diff.Removed }

// stageList answers GET /stage/: what waits for the one who is signed in.
func (c *call) stageList() error {
	const shown = 100
	holds, _, more, err := c.s.Publish.Holds(c.r.Context(), c.actor, -1, shown)
	if err != nil {
		return err
	}
	c.show(http.StatusOK, "stages", "Releases that wait", struct {
		Holds []publish.Hold
		More  bool
	}{holds, more})
	return nil
}

// stagePage answers GET /stage/{id...}, where id is a hold's or the release's purl.
func (c *call) stagePage() error {
	h, err := c.waiting()
	if err != nil {
		return err
	}
	return c.showStage(http.StatusOK, h, "")
}

// waiting is the release that the address names, with its whole difference.
func (c *call) waiting() (publish.Hold, error) {
	id := c.r.PathValue("id")
	if publish.IsID(id) {
		h, err := c.s.Publish.ByID(c.r.Context(), c.actor, evidence.Publish, id)
		if err != nil {
			return h, err
		}
		id = h.PURL.String()
	}
	p, err := purl.Parse(id)
	if err != nil {
		return publish.Hold{}, err
	}
	return c.s.Publish.Show(c.r.Context(), c.actor, p)
}

// StageAddress is the path of a release's page.
func StageAddress(p purl.PURL) string { return "/stage/" + url.PathEscape(p.String()) }

func (c *call) showStage(status int, h publish.Hold, problem string) error {
	f, err := c.s.Accounts.Factors(c.r.Context(), c.actor)
	if err != nil {
		return err
	}
	v := stageView{
		Hold: h, Own: c.actor.Account == h.Publisher, Already: slices.Contains(h.Approved, c.actor.Account),
		Fresh: c.actor.Factor == evidence.WebAuthn, Means: meansOf(f), Problem: problem, Reason: c.form("reason"),
	}
	c.show(status, "stage", "Look at "+h.Name+" "+h.Version, v)
	return nil
}

// decideStage answers POST /stage/{id...}: the approval with the proof that the form carries, or the
// rejection.
func (c *call) decideStage() error {
	h, err := c.waiting()
	if err != nil {
		return err
	}
	decide := c.approve
	if c.form("action") == "reject" {
		decide = c.reject
	}
	told, err := decide(c.r.Context(), h)
	f := fault.As(err)
	switch {
	case err == nil:
		c.show(http.StatusOK, "message", "Decided", messageView{Text: []string{told}, Link: "/stage/", Label: "What else waits"})
		return nil
	case f.Kind == fault.Invalid || f.Kind == fault.Unauthenticated:
		return c.showStage(http.StatusBadRequest, h, f.Text)
	case f.Kind == fault.Denied:
		return c.showStage(http.StatusForbidden, h, f.Text)
	}
	return err
}

func (c *call) approve(ctx context.Context, h publish.Hold) (string, error) {
	actor, err := c.proof()
	if err != nil {
		return "", err
	}
	a, err := c.s.Publish.Approve(ctx, actor, h.PURL, c.form("reason"))
	switch {
	case err != nil:
		return "", err
	case a.Released:
		return h.PURL.String() + " is approved and offered from now on.", nil
	}
	return h.PURL.String() + " has your approval; it takes more people's.", nil
}

func (c *call) reject(ctx context.Context, h publish.Hold) (string, error) {
	return h.PURL.String() + " is rejected: nobody will ever get it.", c.s.Publish.Reject(ctx, c.actor, h.PURL, c.form("reason"))
}

// markedList is a list of marks under a title, for a template.
type markedList struct {
	Title string
	Marks []evidence.Mark
}

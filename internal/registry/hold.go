package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Reviewer decides which uploads wait for a person. It is asked after the right to publish, or to
// stage, was found and before anything is written.
type Reviewer interface {
	// Review returns why the actor's upload must wait, or what it shall be noted with, or nil for neither.
	// An upload that asks to be staged always waits. A fault refuses the upload; the core records that.
	Review(ctx context.Context, actor evidence.Actor, u Upload) (*Hold, error)
}

// Hold is why a release waits for a person. It becomes the publish gate's decision about it.
type Hold struct {
	ID      string          // names the hold to clients: a UUID
	Code    string          // the rule that holds it: "install-script-new"
	Summary string          // one sentence for the publisher
	Reasons []string        // what a person has to look at, a line each
	Input   json.RawMessage // what it was decided from, so that the same can be looked at later
	// Noted says that the upload need not wait: what was found is only put on the record, and the
	// publisher is told when Warn is set.
	Noted, Warn bool
}

// Waits reports whether there is a reason to wait.
func (h *Hold) Waits() bool { return h != nil && !h.Noted }

// Notice tells the publisher of what why it is held, or what it is noted with; it is empty when there is nothing
// to tell. release is its purl as a shell takes it.
func (h *Hold) Notice(what, release string) string {
	switch {
	case h.Waits():
		return fmt.Sprintf("held: %s is not offered yet, because %s. Somebody else who may publish it approves it with: hullmark approve %s", what, h.Summary, release)
	case h != nil && h.Warn:
		return fmt.Sprintf("noted (%s): %s is offered, and others may want to look at it: %s", h.Code, what, h.Summary)
	}
	return ""
}

// WithReviewer makes the core ask by before it publishes a version. It is called before the core is
// used; a core without a reviewer holds nothing, and so takes nothing that asks to be staged.
func (c *Core) WithReviewer(by Reviewer) *Core {
	c.review = by
	return c
}

// MustStage says whether an upload of the actor's must ask to be staged, for a protocol whose clients
// cannot: true for who may stage and not publish, and for who would have to prove a second factor, which
// the same clients cannot either. It fails as Authorize does for who may do none of it.
func (c *Core) MustStage(ctx context.Context, actor evidence.Actor, ecosystem, name string) (bool, error) {
	err := c.access.Authorize(ctx, actor, evidence.Publish, ecosystem, name)
	if err == nil {
		return false, nil
	}
	stages := fault.As(err).Code == "token-scope" || evidence.NeedsFactor(err)
	if !stages || c.access.Authorize(ctx, actor, evidence.Stage, ecosystem, name) != nil {
		return false, err
	}
	return true, nil
}

// StageOnly replaces the refusal of a credential that was made for staging with one that says so; other
// errors, a freeze or a lacking factor among them, it returns as they are.
func (c *Core) StageOnly(ctx context.Context, actor evidence.Actor, ecosystem, name string, refusal error) error {
	if fault.As(refusal).Code != "token-scope" || c.access.Authorize(ctx, actor, evidence.Stage, ecosystem, name) != nil {
		return refusal
	}
	return fault.New(fault.Denied, "stage-only",
		"this credential may stage versions of %s and not publish them; stage this one (npm stage publish), and a person who may publish approves it", name).Because(refusal)
}

// reviewed asks the reviewer about a release that comes to be, or comes back: what was rejected must
// not return as if it had been withdrawn from everybody.
func (c *Core) reviewed(ctx context.Context, actor evidence.Actor, event evidence.PublicationEvent, u Upload) (*Hold, error) {
	if event == evidence.Tagged && u.Stage {
		return nil, fault.New(fault.Denied, "stage-only",
			"%s is published already, and a credential that may only stage moves no tags; somebody who may publish %s moves them", u.PURL, u.Name)
	}
	if c.review == nil && u.Stage {
		return nil, fault.New(fault.Unsupported, "staging-unsupported", "this registry has nobody to approve what is staged; publish it instead")
	}
	if c.review == nil || event == evidence.Tagged {
		return nil, nil
	}
	hold, err := c.review.Review(ctx, actor, u)
	if err != nil {
		return nil, fmt.Errorf("review %s: %w", u.PURL, err)
	}
	if u.Stage && !hold.Waits() {
		return nil, fmt.Errorf("review %s: what asks to be staged was let through", u.PURL)
	}
	if hold.Waits() && event == evidence.Restored {
		return nil, fault.New(fault.Policy, "version-withdrawn",
			"%s was withdrawn or rejected, and would have to wait for an approval to come back; push other content", u.PURL)
	}
	return hold, nil
}

// decide is the decision that lets an upload in or makes it wait.
func (c *Core) decide(actor evidence.Actor, u Upload, hold *Hold) evidence.Draft {
	d := c.allowed(actor, "publish", u.PURL, u.Artifact)
	if hold == nil {
		return d
	}
	decision := d.Predicate.(evidence.Decision)
	decision.Code, decision.Reasons, decision.Input = hold.Code, hold.Reasons, hold.Input
	if hold.Waits() {
		decision.Verdict, decision.ID = "hold", hold.ID
	}
	if u.Stage {
		decision.Action = "stage"
	}
	d.Predicate = decision
	return d
}

// again is a push of content that waits already: the tags that it asks for are set when it is approved.
func (c *Core) again(ctx context.Context, actor evidence.Actor, u Upload) (*Hold, error) {
	hold := &Hold{Code: "release-held", Summary: "it waits for an approval already", Reasons: []string{"asked for more tags while it waits"}}
	u.Contents = nil
	guard := func(tx *sql.Tx) error {
		var state State
		err := tx.QueryRowContext(ctx, `SELECT r.state FROM release r JOIN package p ON p.id = r.package_id
			WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.file = $4 AND r.mirrored = 0`, u.Ecosystem, u.Name, u.Version, u.File).Scan(&state)
		if err == nil && state != Held {
			err = errRaced
		}
		return err
	}
	_, err := c.record.Append(ctx, guard, c.drafts(actor, evidence.Held, u, hold)...)
	if errors.Is(err, errRaced) {
		return c.Submit(ctx, actor, u)
	}
	return hold, err
}

func heldBack(p purl.PURL) *fault.Error {
	return fault.New(fault.Policy, "release-held",
		"%s waits for the approval of a second person; see what it changes with: hullmark hold show '%s'", p, p)
}

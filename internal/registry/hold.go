package registry

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Reviewer decides which uploads wait for a person. It is asked after the right to publish was
// found and before anything is written.
type Reviewer interface {
	// Review returns why the actor's upload must wait, or nil when it need not. A fault refuses the
	// upload; the core records that.
	Review(ctx context.Context, actor evidence.Actor, u Upload) (*Hold, error)
}

// Hold is why a release waits for a person. It becomes the publish gate's decision about it.
type Hold struct {
	Code    string          // the rule that holds it: "install-script-new"
	Summary string          // one sentence for the publisher
	Reasons []string        // what a person has to look at, a line each
	Input   json.RawMessage // what it was decided from, so that the same can be looked at later
}

// WithReviewer makes the core ask by before it publishes a version. It is called before the core is
// used; a core without a reviewer holds nothing.
func (c *Core) WithReviewer(by Reviewer) *Core {
	c.review = by
	return c
}

// reviewed asks the reviewer about a release that comes to be, or comes back: what was rejected must
// not return as if it had been withdrawn from everybody.
func (c *Core) reviewed(ctx context.Context, actor evidence.Actor, event evidence.PublicationEvent, u Upload) (*Hold, error) {
	if c.review == nil || event == evidence.Tagged {
		return nil, nil
	}
	hold, err := c.review.Review(ctx, actor, u)
	if err != nil {
		return nil, fmt.Errorf("review %s: %w", u.PURL, err)
	}
	if hold != nil && event == evidence.Restored {
		return nil, heldBack(u.PURL)
	}
	return hold, nil
}

// decide is the decision that lets an upload in or makes it wait.
func (c *Core) decide(actor evidence.Actor, u Upload, hold *Hold) evidence.Draft {
	d := c.allowed(actor, "publish", u.PURL, u.Artifact)
	if hold != nil {
		decision := d.Predicate.(evidence.Decision)
		decision.Verdict, decision.Code, decision.Reasons, decision.Input = "hold", hold.Code, hold.Reasons, hold.Input
		d.Predicate = decision
	}
	return d
}

func heldBack(p purl.PURL) *fault.Error {
	return fault.New(fault.Policy, "release-held",
		"%s waits for the approval of a second person; see what it changes with: hullmark hold show '%s'", p, p)
}

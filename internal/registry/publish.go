package registry

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Publish is [Core.Submit] for a caller that has nobody to tell that a release is held.
func (c *Core) Publish(ctx context.Context, actor evidence.Actor, u Upload) error {
	_, err := c.Submit(ctx, actor, u)
	return err
}

// Submit puts a release behind its name: the publish gate decides, and publication, contents and
// decision become part of the record in one step. A version that exists is Conflict with code
// version-exists, and a file of it that exists is with code file-exists, unless the version is the
// artifact's digest: then the release is the same, its tags move, and a withdrawn one is restored.
//
// When the reviewer wants a person to look at it the release is held, and Submit returns why: it is
// on the record and not offered, and its tags do not move, until it is approved. Content that waits may be
// pushed again, for more tags. Submit also returns what the reviewer only noted: see [Hold.Waits].
func (c *Core) Submit(ctx context.Context, actor evidence.Actor, u Upload) (*Hold, error) {
	perm, action := u.asks()
	actor = actingOn(ctx, c.access, actor, u.Ecosystem, u.Name)
	if err := c.mayWrite(ctx, actor, perm, action, u.Ecosystem, u.Name, u.PURL); err != nil {
		return nil, err
	}
	event := evidence.Published
	if u.contentAddressed() {
		old, err := c.Release(ctx, u.Ecosystem, u.Name, u.Version)
		switch {
		case err == nil && old.State == Withdrawn:
			event = evidence.Restored
		case err == nil && old.State == Held:
			return c.again(ctx, actor, u)
		case err == nil && len(u.Tags) == 0:
			return nil, nil
		case err == nil:
			event = evidence.Tagged
		case fault.KindOf(err) != fault.NotFound:
			return nil, err
		}
	}
	holds, err := c.submit(ctx, actor, event, []Upload{u}, func(*sql.Tx) error { return nil })
	if errors.Is(err, errRaced) {
		return c.Submit(ctx, actor, u) // somebody published the same content in between: look again
	}
	if err != nil {
		return nil, err
	}
	return holds[0], nil
}

// SubmitAll is Submit for the files of one version that come together: they become part of the record in
// one step or not at all, and when one of them is held the others wait with it.
func (c *Core) SubmitAll(ctx context.Context, actor evidence.Actor, all []Upload) (*Hold, error) {
	return c.submitAll(ctx, actor, all, func(*sql.Tx) error { return nil })
}

func (c *Core) submitAll(ctx context.Context, actor evidence.Actor, all []Upload, also func(*sql.Tx) error) (*Hold, error) {
	for _, u := range all {
		perm, action := u.asks()
		actor := actingOn(ctx, c.access, actor, u.Ecosystem, u.Name)
		if err := c.mayWrite(ctx, actor, perm, action, u.Ecosystem, u.Name, u.PURL); err != nil {
			return nil, err
		}
	}
	holds, err := c.submit(ctx, actor, evidence.Published, all, also)
	if err != nil || len(holds) == 0 {
		return nil, err
	}
	for _, h := range holds {
		if h.Waits() {
			return h, nil
		}
	}
	return holds[0], nil
}

// asks returns the permission that the upload takes, and what the record calls it.
func (u Upload) asks() (evidence.Permission, string) {
	if u.Stage {
		return evidence.Stage, "stage"
	}
	return evidence.Publish, "publish"
}

// submit asks the reviewer about uploads that the actor may make, and appends what becomes of them.
func (c *Core) submit(ctx context.Context, actor evidence.Actor, event evidence.PublicationEvent, all []Upload, also func(*sql.Tx) error) ([]*Hold, error) {
	holds, err := c.reviewAll(ctx, actor, event, all)
	if err != nil {
		return nil, err
	}
	files := make([]map[string]bool, len(all))
	var drafts []evidence.Draft
	for i, u := range all {
		if files[i], err = c.filesOf(ctx, u); err != nil {
			return nil, err
		}
		actor := actingOn(ctx, c.access, actor, u.Ecosystem, u.Name)
		drafts = append(drafts, c.drafts(actor, event, u, holds[i])...)
	}
	at := 0 // the upload that the guard looks at
	guard := func(tx *sql.Tx) error {
		for i, u := range all {
			at = i
			if err := checkExpected(ctx, tx, event, u); err != nil {
				return err
			}
			if err := c.checkOpen(ctx, tx, u); err != nil {
				return err
			}
			if err := c.Spend(ctx, tx, actor, u.Artifact); err != nil {
				return err
			}
			if err := checkRecalled(ctx, tx, u, files[i]); err != nil {
				return err
			}
		}
		return also(tx)
	}
	_, err = c.record.Append(ctx, guard, drafts...)
	if errors.Is(err, errRecalled) || misspent(err) {
		_, action := all[at].asks()
		return nil, c.Refuse(ctx, actor, action, all[at].PURL, err)
	}
	return holds, err
}

// reviewAll asks the reviewer about each upload. When one has to wait, those that came with it do, too.
func (c *Core) reviewAll(ctx context.Context, actor evidence.Actor, event evidence.PublicationEvent, all []Upload) ([]*Hold, error) {
	holds := make([]*Hold, len(all))
	var waits *Hold
	for i, u := range all {
		actor := actingOn(ctx, c.access, actor, u.Ecosystem, u.Name)
		hold, err := c.reviewed(ctx, actor, event, u)
		if err != nil {
			_, action := u.asks()
			return nil, c.Refused(ctx, actor, action, u.PURL, err)
		}
		holds[i] = hold
		if waits == nil && hold.Waits() {
			waits = hold
		}
	}
	for i, h := range holds {
		if waits != nil && !h.Waits() {
			holds[i] = &Hold{Code: waits.Code, Summary: waits.Summary, Reasons: []string{"it belongs to a version that waits"}, Input: waits.Input}
		}
	}
	return holds, nil
}

// drafts are the statements that an upload becomes.
func (c *Core) drafts(actor evidence.Actor, event evidence.PublicationEvent, u Upload, hold *Hold) []evidence.Draft {
	var contents []evidence.Draft
	if event == evidence.Published {
		contents = u.Contents
	}
	if hold.Waits() {
		event = evidence.Held
	}
	return append([]evidence.Draft{publication(actor, event, u), c.decide(actor, u, hold)}, contents...)
}

// errRaced says that a content-addressed release changed between the look and the append.
var errRaced = errors.New("the release changed in between")

func publication(actor evidence.Actor, event evidence.PublicationEvent, u Upload) evidence.Draft {
	p := evidence.Publication{
		Event: event, Ecosystem: u.Ecosystem, Name: u.Name, Version: u.Version, File: u.File, Tags: u.Tags,
		Artifact: u.Artifact, Size: u.Size, MediaType: u.MediaType, Metadata: u.Metadata,
		Subject: u.Subject, ArtifactType: u.ArtifactType, Actor: actor,
	}
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(u.PURL, u.Artifact)},
		Predicate: p, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	}
}

func checkExpected(ctx context.Context, tx *sql.Tx, event evidence.PublicationEvent, u Upload) error {
	var state string
	err := tx.QueryRowContext(ctx, `SELECT r.state FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.file = $4 AND r.mirrored = 0`, u.Ecosystem, u.Name, u.Version, u.File).Scan(&state)
	exists := err == nil
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("look for version: %w", err)
	}
	if exists && u.File != "" {
		return fault.New(fault.Conflict, "file-exists",
			"%s was published before, and the name of a file is never reused; publish a new version", u.File)
	}
	if exists && !u.contentAddressed() {
		return fault.New(fault.Conflict, "version-exists",
			"%s %s was published before, and a version is never reused; publish a new version number", u.Name, u.Version)
	}
	if exists == (event == evidence.Published) || exists && (State(state) == Withdrawn) != (event == evidence.Restored) {
		return errRaced
	}
	return nil
}

// checkOpen refuses a file for a version that is closed, or has one of its sort. What is added to a version that
// everybody has installed long since is what nobody looks at again.
func (c *Core) checkOpen(ctx context.Context, tx *sql.Tx, u Upload) error {
	if u.OpenFor <= 0 && !u.Sole {
		return nil
	}
	var first string
	var same int
	err := tx.QueryRowContext(ctx, `SELECT coalesce(min(r.published), ''), count(CASE WHEN r.artifact_type = $4 THEN 1 END)
		FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.mirrored = 0`, u.Ecosystem, u.Name, u.Version, u.ArtifactType).Scan(&first, &same)
	if err != nil || first == "" {
		return err
	}
	if u.Sole && same > 0 {
		return fault.New(fault.Conflict, "sort-exists", "%s %s has a file of the sort %s already, and can have one", u.Name, u.Version, u.ArtifactType)
	}
	published, err := time.Parse(time.RFC3339Nano, first)
	if err == nil && u.OpenFor > 0 && c.record.Now().Sub(published) > u.OpenFor {
		return fault.New(fault.Policy, "release-closed",
			"%s %s was published more than %s ago, and takes no more files; publish a new version", u.Name, u.Version, short(u.OpenFor))
	}
	return err
}

// Tag points tags at a version. Moving one needs the same right as publishing.
func (c *Core) Tag(ctx context.Context, actor evidence.Actor, ecosystem, name, version string, tags ...string) error {
	r, err := c.Release(ctx, ecosystem, name, version)
	if err != nil {
		return err
	}
	return c.change(ctx, actor, evidence.Publish, ecosystem, name, r, evidence.Publication{Event: evidence.Tagged, Tags: tags})
}

// Untag removes a tag; the version that it pointed at stays.
func (c *Core) Untag(ctx context.Context, actor evidence.Actor, ecosystem, name, tag string) error {
	r, err := c.Resolve(ctx, ecosystem, name, tag)
	if err != nil {
		return err
	}
	return c.change(ctx, actor, evidence.Publish, ecosystem, name, r, evidence.Publication{Event: evidence.Untagged, Tags: []string{tag}})
}

// Deprecate sets the message that clients show for a version; an empty one clears it.
func (c *Core) Deprecate(ctx context.Context, actor evidence.Actor, ecosystem, name, version, message string) error {
	r, err := c.Release(ctx, ecosystem, name, version)
	if err != nil || r.Deprecated == message {
		return err
	}
	return c.change(ctx, actor, evidence.Publish, ecosystem, name, r, evidence.Publication{Event: evidence.Deprecated, Message: message})
}

// Unlist keeps a version from being proposed (PEP 592 calls it yanked): clients that ask for exactly it still
// get it. An empty reason is one, too; listed again is what [Core.Relist] makes of it.
func (c *Core) Unlist(ctx context.Context, actor evidence.Actor, ecosystem, name, version, reason string) error {
	r, err := c.Release(ctx, ecosystem, name, version)
	if err != nil || r.Unlisted != "" && r.Unlisted == reason {
		return err
	}
	return c.change(ctx, actor, evidence.Publish, ecosystem, name, r, evidence.Publication{Event: evidence.Unlisted, Message: reason})
}

// Relist undoes Unlist.
func (c *Core) Relist(ctx context.Context, actor evidence.Actor, ecosystem, name, version string) error {
	r, err := c.Release(ctx, ecosystem, name, version)
	if err != nil || r.Unlisted == "" {
		return err
	}
	return c.change(ctx, actor, evidence.Publish, ecosystem, name, r, evidence.Publication{Event: evidence.Relisted})
}

// Withdraw takes a version away: it is no longer listed or downloaded, tags that point at it are
// removed, and its number is never free again. It needs the Own permission.
func (c *Core) Withdraw(ctx context.Context, actor evidence.Actor, ecosystem, name, version, reason string) error {
	r, err := c.Release(ctx, ecosystem, name, version)
	if err != nil {
		return err
	}
	if r.State == Withdrawn {
		return versionUnknown(name, version)
	}
	tags, err := c.TagsOf(ctx, ecosystem, name, version)
	if err != nil {
		return err
	}
	return c.change(ctx, actor, evidence.Own, ecosystem, name, r,
		evidence.Publication{Event: evidence.Withdrawn, Tags: tags[:min(len(tags), maxNamedTags)], Message: reason})
}

// maxNamedTags is how many of the tags that go with a version its withdrawal names: a statement takes
// no more than some hundred, and somebody who may set tags must not keep a version from going.
const maxNamedTags = 100

// change appends one event about an existing release.
func (c *Core) change(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string, r Release,
	p evidence.Publication) error {
	action := string(p.Event)
	actor = actingOn(ctx, c.access, actor, ecosystem, name)
	if err := c.mayWrite(ctx, actor, perm, action, ecosystem, name, r.PURL); err != nil {
		return err
	}
	p.Ecosystem, p.Name, p.Version, p.Actor = ecosystem, name, r.Version, actor
	guard := func(tx *sql.Tx) error {
		if err := checkState(ctx, tx, p, r); err != nil {
			return err
		}
		return c.Spend(ctx, tx, actor, r.Artifact)
	}
	_, err := c.record.Append(ctx, guard, evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(r.PURL, r.Artifact)},
		Predicate: p, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	}, c.allowed(actor, action, r.PURL, r.Artifact))
	return err
}

// checkState keeps a version that was withdrawn in between from being tagged or withdrawn again, and a
// held one from being tagged before it is approved.
func checkState(ctx context.Context, tx *sql.Tx, p evidence.Publication, r Release) error {
	if p.Event != evidence.Tagged && p.Event != evidence.Withdrawn {
		return nil
	}
	var state State
	err := tx.QueryRowContext(ctx, `SELECT r.state FROM release r JOIN package p ON p.id = r.package_id
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.version = $3 AND r.mirrored = 0 AND ($4 = '' OR r.file = $4)
		ORDER BY CASE r.state WHEN 'held' THEN 0 WHEN 'active' THEN 1 ELSE 2 END LIMIT 1`, p.Ecosystem, p.Name, p.Version, p.File).Scan(&state)
	if err != nil {
		return fmt.Errorf("look for version: %w", err)
	}
	switch {
	case state == Withdrawn:
		return versionUnknown(p.Name, p.Version)
	case state == Held && p.Event == evidence.Tagged:
		return heldBack(r.PURL)
	}
	return nil
}

// mayWrite is the publish gate: it asks Access, and records the refusal of an authenticated actor.
// Anonymous refusals are not recorded: anybody could fill the record with them.
func (c *Core) mayWrite(ctx context.Context, actor evidence.Actor, perm evidence.Permission, action, ecosystem, name string, p purl.PURL) error {
	err := c.access.Authorize(ctx, actor, perm, ecosystem, name)
	if err == nil || actor.Anonymous() {
		return err
	}
	if perm == evidence.Publish {
		err = c.StageOnly(ctx, actor, ecosystem, name, err)
	}
	return c.Refuse(ctx, actor, action, p, err)
}

// Refuse records that the publish gate said no because of err, and returns err. Adapters call it
// when their own checks fail (a manifest that contradicts its tarball, say).
func (c *Core) Refuse(ctx context.Context, actor evidence.Actor, action string, p purl.PURL, err error) error {
	if errors.As(err, new(recorded)) {
		return err
	}
	d := c.allowed(actor, action, p, "")
	decision := d.Predicate.(evidence.Decision)
	f := fault.As(err)
	decision.Verdict, decision.Code, decision.Reasons = "deny", f.Code, []string{strings.TrimSpace(f.Text)}
	d.Predicate = decision
	if _, rerr := c.record.Append(ctx, nil, d); rerr != nil {
		return fmt.Errorf("record a refusal: %w", rerr)
	}
	return recorded{err}
}

// recorded is a refusal that is on the record, so that nobody puts it there twice.
type recorded struct{ error }

func (r recorded) Unwrap() error { return r.error }

// Refused is [Core.Refuse] for an error that may be no decision: a failure of ours, a request that the network cut
// off, the question who somebody is.
func (c *Core) Refused(ctx context.Context, actor evidence.Actor, action string, p purl.PURL, err error) error {
	f := fault.As(err)
	if f.Kind == fault.Internal || f.Kind == fault.Unauthenticated || f.Code == "body-malformed" || actor.Anonymous() {
		return err
	}
	return c.Refuse(ctx, actor, action, p, err)
}

// allowed is a decision about a release and, where there is one, its artifact: the record of the digest
// tells who let it in, too.
func (c *Core) allowed(actor evidence.Actor, action string, p purl.PURL, artifact digest.Digest) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, artifact)},
		Predicate: evidence.Decision{
			Gate: "publish", Action: action, Verdict: "allow", Policy: PolicyRevision, Head: c.record.Head(), Actor: actor,
		},
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}

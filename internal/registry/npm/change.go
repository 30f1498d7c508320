package npm

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// freely is how long after publication an owner may withdraw a version whatever uses it.
const freely = 72 * time.Hour

// deprecate sets or clears the messages of the versions in the document that differ from ours.
// The client sends the whole packument back. Source: npm, deprecate.js.
func (r *Registry) deprecate(w http.ResponseWriter, req *http.Request, actor evidence.Actor, doc document) error {
	name := req.PathValue("name")
	offered, err := r.offer(req.Context(), name)
	if err != nil {
		return err
	}
	o := offered.uncooled()
	if len(doc.versions) == 0 {
		return fault.New(fault.Invalid, "body-malformed", "the document has neither a tarball to publish nor versions to deprecate")
	}
	for _, rel := range o.releases {
		raw, sent := doc.versions[rel.Version]
		if !sent {
			continue
		}
		message, err := deprecation(raw)
		if err != nil {
			return err
		}
		if message == rel.Deprecated {
			continue
		}
		if err := r.core.Deprecate(req.Context(), actor, purl.NPM, name, rel.Version, message); err != nil {
			return err
		}
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}

// maxMessage bounds a deprecation message in bytes: it is part of a statement.
const maxMessage = 4096

func deprecation(raw []byte) (string, error) {
	var m object
	if err := (object{"version": raw}).decode("version", &m); err != nil {
		return "", err
	}
	message := m.text("deprecated")
	if len(message) > maxMessage {
		return "", fault.New(fault.TooLarge, "body-too-large", "a deprecation message may have %d bytes; shorten it", maxMessage)
	}
	return message, nil
}

var ok = map[string]any{"ok": true}

// change answers PUT /{name}/-rev/{rev}: the packument as a client wants it. Two changes are
// understood: other maintainers (npm owner) and missing versions (npm unpublish).
func (r *Registry) change(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	doc, err := r.readDocument(req.Context(), req.Body, nil)
	if err != nil {
		return err
	}
	o, err := r.atRevision(req)
	if err != nil {
		return err
	}
	if doc.versions == nil {
		err = r.setOwners(req, actor, o, doc.owners)
	} else {
		err = r.withdraw(req, actor, o, func(rel registry.Release) bool {
			_, kept := doc.versions[rel.Version]
			return !kept
		})
	}
	if err != nil {
		return err
	}
	r.respond(w, http.StatusCreated, ok)
	return nil
}

// atRevision returns what the name offers, provided that it still is the revision in the path: a
// client that has not seen a version would otherwise unpublish it.
func (r *Registry) atRevision(req *http.Request) (*offer, error) {
	offered, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return nil, err
	}
	o := offered.uncooled()
	if rev := req.PathValue("rev"); rev != o.rev() {
		return nil, fault.New(fault.Conflict, "revision-conflict", "%s has changed in between; run the command again", o.name)
	}
	return o, nil
}

// unpublishAll answers DELETE /{name}/-rev/{rev}.
func (r *Registry) unpublishAll(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, err := r.atRevision(req)
	if err != nil {
		return err
	}
	if err := r.withdraw(req, actor, o, func(registry.Release) bool { return true }); err != nil {
		return err
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}

// unpublishFile answers DELETE /{name}/-/{file}/-rev/{rev}, the last step of npm unpublish. The
// step before it has withdrawn the version as a rule; then there is nothing left to do.
func (r *Registry) unpublishFile(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	o, err := r.atRevision(req)
	if err != nil {
		return err
	}
	rel, err := o.byFile(req.PathValue("file"))
	if err != nil {
		return err
	}
	err = r.withdraw(req, actor, o, func(other registry.Release) bool { return other.Version == rel.Version })
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}

// withdraw takes away the offered versions that which selects: all of them or, when the policy
// keeps one, none.
func (r *Registry) withdraw(req *http.Request, actor evidence.Actor, o *offer, which func(registry.Release) bool) error {
	var going []registry.Release
	for _, rel := range o.releases {
		if !which(rel) {
			continue
		}
		if err := r.mayWithdraw(req, rel); err != nil {
			return r.core.Refuse(req.Context(), actor, "withdrawn", rel.PURL, err)
		}
		going = append(going, rel)
	}
	for _, rel := range going {
		if err := r.core.Withdraw(req.Context(), actor, purl.NPM, o.name, rel.Version, "npm unpublish"); err != nil {
			return err
		}
	}
	return nil
}

// mayWithdraw is the unpublish policy (docs/reference/npm.md): within 72 hours of publication
// always, later only while no image layer in the record contains the version.
func (r *Registry) mayWithdraw(req *http.Request, rel registry.Release) error {
	if r.clock.Now().Sub(rel.Published) <= freely {
		return nil
	}
	used, err := r.core.InLayers(req.Context(), rel.PURL)
	if err != nil || !used {
		return err
	}
	return fault.New(fault.Policy, "unpublish-too-late",
		"%s was published more than 72 hours ago and images contain it; deprecate it, or recall it if it is dangerous", rel.PURL)
}

// setOwners makes the maintainers those of the list: who is missing is removed, who is new added.
func (r *Registry) setOwners(req *http.Request, actor evidence.Actor, o *offer, want []string) error {
	defer r.offers.Forget(o.name) // owners are not in the record, so nothing else tells
	var have []string
	for _, p := range o.maintainers() {
		have = append(have, p.Name)
	}
	if len(want) == 0 {
		return fault.New(fault.Invalid, "owner-required", "%s must keep an owner; add another one first", o.name)
	}
	for _, user := range slices.Concat(missing(want, have), missing(have, want)) {
		add := slices.Contains(want, user)
		if err := r.accounts.SetOwner(req.Context(), actor, o.name, user, add); err != nil {
			return err
		}
	}
	return r.checkGone(req, o.name, missing(have, want))
}

// checkGone fails when somebody who was to go may still publish: by a role in the organisation,
// which is not this package's to take away.
func (r *Registry) checkGone(req *http.Request, name string, gone []string) error {
	if len(gone) == 0 {
		return nil
	}
	people, err := r.accounts.Collaborators(req.Context(), name)
	if err != nil {
		return err
	}
	for _, p := range people {
		if p.Permission != evidence.Read && slices.Contains(gone, p.User) {
			return fault.New(fault.Conflict, "owner-by-organisation",
				"%s publishes %s by a role in the organisation that owns it; change the role there", p.User, name)
		}
	}
	return nil
}

// missing returns what is in a and not in b, sorted.
func missing(a, b []string) []string {
	out := slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	slices.SortFunc(out, cmp.Compare[string])
	return slices.Compact(out)
}

// serveTags answers GET /-/package/{name}/dist-tags.
func (r *Registry) serveTags(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	r.respond(w, http.StatusOK, o.tags)
	return nil
}

// setTag answers PUT /-/package/{name}/dist-tags/{tag} with a version as a JSON string.
func (r *Registry) setTag(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	tag := req.PathValue("tag")
	if err := checkTag(tag); err != nil {
		return err
	}
	var version string
	if err := registry.ReadJSON(w, req, 1<<10, &version); err != nil {
		return err
	}
	o, err := r.offer(req.Context(), req.PathValue("name"))
	if err != nil {
		return err
	}
	if _, isTag := o.uncooled().tags[version]; isTag {
		return fault.New(fault.Invalid, "version-invalid", "%q is a tag; name the version that %s shall point at", fault.Clip(version), tag)
	}
	rel, err := o.taggable(version)
	if err != nil {
		return err
	}
	if err := r.core.Tag(req.Context(), actor, purl.NPM, o.name, rel.Version, tag); err != nil {
		return err
	}
	r.respond(w, http.StatusCreated, ok)
	return nil
}

// taggable returns a version that a tag may be pointed at, and a held one, which the core refuses with
// the reason.
func (o *offer) taggable(version string) (registry.Release, error) {
	if i, ok := o.used[version]; ok && o.all[i].State == registry.Held {
		return o.all[i], nil
	}
	return o.uncooled().release(version)
}

// removeTag answers DELETE /-/package/{name}/dist-tags/{tag}.
func (r *Registry) removeTag(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name, tag := req.PathValue("name"), req.PathValue("tag")
	if strings.EqualFold(tag, latest) {
		return fault.New(fault.Invalid, "tag-required", "the tag latest cannot be removed; move it to another version")
	}
	if err := r.core.Untag(req.Context(), actor, purl.NPM, name, tag); err != nil {
		return err
	}
	r.respond(w, http.StatusOK, ok)
	return nil
}

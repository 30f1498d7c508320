package policy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// ExceptionsAnnotation on a policy says who approves exceptions from it, besides site administrators:
// "owners" are those of the namespace of every image in scope. Without it nobody else does: most policies
// protect those who run an image from those who publish it, and who publishes could let their own images past.
const ExceptionsAnnotation = "hullmark.dev/exceptions"

// mayApprove fails unless the actor may put the exception in force.
func (s *Service) mayApprove(ctx context.Context, actor evidence.Actor, x Exception) error {
	admin := s.access.RequireAdmin(ctx, actor)
	if admin == nil {
		return nil
	}
	if err := s.mayDecide(ctx, actor, x); err != nil {
		return err
	}
	set, err := s.Set(ctx)
	if err != nil {
		return err
	}
	parsed, err := Parse(set.Document)
	if err != nil {
		return fmt.Errorf("policies in force: %w", err)
	}
	for _, p := range parsed.Policies {
		if p.Metadata.Name == x.Policy && p.Metadata.Annotations[ExceptionsAnnotation] == "owners" {
			return nil
		}
	}
	return fault.New(fault.Denied, "exception-not-yours",
		"the policy %s leaves exceptions to site administrators; ask one to approve exception #%d", x.Policy, x.ID).Because(admin)
}

// mayDecide fails unless the exception is about nothing but images that the actor owns: then they may
// see it and end it.
func (s *Service) mayDecide(ctx context.Context, actor evidence.Actor, x Exception) error {
	admin := s.access.RequireAdmin(ctx, actor)
	if admin == nil {
		return nil
	}
	if x.Policy == "*" {
		return admin
	}
	names, err := s.repositories(ctx, x.Scope.Image)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return notYours(x, actor, admin)
	}
	for _, name := range names {
		if err := s.access.Authorize(ctx, actor, evidence.Read, purl.OCI, name); err != nil {
			return err
		}
		if err := s.access.Authorize(ctx, actor, evidence.Own, purl.OCI, name); err != nil {
			return err
		}
	}
	return nil
}

// MaySee reports, as an error, why the actor may not see an exception: who asked for it may, who approved it, the
// owners of the images in scope, and site administrators.
func (s *Service) MaySee(ctx context.Context, actor evidence.Actor, x Exception) error {
	if !actor.Anonymous() && (actor.Account == x.Requester || actor.Account == x.Approver) {
		return nil
	}
	return s.mayDecide(ctx, actor, x)
}

// notYours says that only administrators decide; who is not logged in, or holds a token too weak to tell, hears
// that first.
func notYours(x Exception, actor evidence.Actor, admin error) error {
	if fault.KindOf(admin) != fault.Denied {
		return admin
	}
	return fault.New(fault.Denied, "exception-not-yours",
		"exception #%d reaches beyond the images of one namespace here; ask a site administrator to decide about it", x.ID).Because(admin)
}

// repositories returns the names here that a scope's image is in: all that have the digest, or the
// one that a reference begins with. None means that nobody here owns it.
func (s *Service) repositories(ctx context.Context, image string) ([]string, error) {
	if image == "" {
		return nil, nil
	}
	if _, err := digest.Parse(image); err != nil {
		name, ours := s.repository(image)
		if !ours {
			return nil, nil
		}
		return []string{name}, nil
	}
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT DISTINCT p.name FROM artifact a JOIN release r ON r.artifact_id = a.id
		JOIN package p ON p.id = r.package_id WHERE a.digest = $1 AND p.ecosystem = 'oci' ORDER BY p.name`, image)
	if err != nil {
		return nil, fmt.Errorf("repositories of %s: %w", image, err)
	}
	defer rows.Close()
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("repositories of %s: %w", image, err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// repository returns the repository that the beginning of a reference names, without host, tag and digest;
// ours is false when it is one of another registry. A reference without a host is taken as it is
// written, and is somebody's elsewhere.
func (s *Service) repository(prefix string) (name string, ours bool) {
	host, rest, found := strings.Cut(prefix, "/")
	if !found || !slices.Contains(s.hosts, host) {
		return "", false
	}
	rest, _, _ = strings.Cut(rest, "@")
	if i := strings.LastIndex(rest, ":"); i > strings.LastIndex(rest, "/") {
		rest = rest[:i]
	}
	rest = strings.TrimSuffix(rest, "/")
	return rest, rest != ""
}

// MayFollow reports, as an error, why the actor may not learn what statement st says about where things
// run and who runs them. The record of a public image is for everybody; who runs it is for those who publish it,
// as long as they may read all else that the statement is about, and for site administrators.
func (s *Service) MayFollow(ctx context.Context, actor evidence.Actor, st evidence.Statement) error {
	return s.mayFollow(ctx, actor, strconv.FormatInt(st.Seq, 10), st)
}

func (s *Service) mayFollow(ctx context.Context, actor evidence.Actor, id string, st evidence.Statement) error {
	if s.access.RequireAdmin(ctx, actor) == nil {
		return nil
	}
	names, err := s.namesIn(ctx, st)
	if err != nil {
		return err
	}
	publishes := false
	for _, n := range names {
		if err := s.access.Authorize(ctx, actor, evidence.Read, n[0], n[1]); err != nil {
			return refusal(err, id)
		}
		err := s.access.Authorize(ctx, actor, evidence.Publish, n[0], n[1])
		publishes = publishes || err == nil
		if err != nil {
			if err := refusal(err, id); fault.KindOf(err) != fault.NotFound {
				return err
			}
		}
	}
	if actor.Anonymous() {
		return fault.New(fault.Unauthenticated, "login-required", "this needs a login; log in or send a token")
	}
	if !publishes {
		return errDecision(id)
	}
	return nil
}

// refusal is what who may not is told; a failure of ours stays one.
func refusal(err error, id string) error {
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Denied, fault.Unauthenticated:
		return errDecision(id)
	}
	return err
}

// namesIn returns the ecosystem and name of everything here that a statement is about.
func (s *Service) namesIn(ctx context.Context, st evidence.Statement) ([][2]string, error) {
	var out [][2]string
	for _, subject := range subjectTexts(st) {
		rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT p.ecosystem, p.name FROM release r JOIN package p ON p.id = r.package_id
			WHERE r.purl = $1 UNION SELECT p.ecosystem, p.name FROM artifact a JOIN release r ON r.artifact_id = a.id
			JOIN package p ON p.id = r.package_id WHERE a.digest = $1`, strings.TrimPrefix(subject, "pulls:"))
		if err != nil {
			return nil, fmt.Errorf("names in statement %d: %w", st.Seq, err)
		}
		for rows.Next() {
			var n [2]string
			if err := rows.Scan(&n[0], &n[1]); err != nil {
				rows.Close()
				return nil, fmt.Errorf("names in statement %d: %w", st.Seq, err)
			}
			out = append(out, n)
		}
		if err := rows.Err(); err != nil {
			return nil, fmt.Errorf("names in statement %d: %w", st.Seq, err)
		}
	}
	return out, nil
}

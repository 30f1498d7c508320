package publish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// timeFormat is that of the record's times: it sorts as text.
const timeFormat = "2006-01-02T15:04:05.000000Z"

// The actions of the decisions that re-allow tokens for a name, and that end this.
const (
	actionAllowTokens  = "allow-tokens"
	actionForbidTokens = "forbid-tokens"
)

// methodOIDC is how a publication's actor authenticated who came by a trusted publisher.
const methodOIDC = "oidc"

// checkTrust refuses a publication that proves less than the newest offered one: once a name is published
// by a trusted publisher, a stolen token must not be enough again. Staging does not get around it.
func (s *Service) checkTrust(ctx context.Context, c Candidate) error {
	if c.Actor.Workload != nil {
		return nil
	}
	var version, method string
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT r.version, x.method FROM release r JOIN package p ON p.id = r.package_id
			JOIN publication x ON x.seq = r.seq
		WHERE p.ecosystem = $1 AND p.name = $2 AND r.mirrored = 0 AND r.state = 'active' AND r.recalled = '' ORDER BY r.seq DESC LIMIT 1`,
		c.Ecosystem, c.Name).Scan(&version, &method)
	if err = ignoreNone(err); err != nil || method != methodOIDC {
		return err
	}
	allowed, err := s.TokensAllowed(ctx, c.Ecosystem, c.Name)
	if err != nil || allowed {
		return err
	}
	return fault.New(fault.Denied, "trust-downgrade",
		"%s %s was published by its trusted publisher, so a token is not enough any more; publish from the pipeline, or have an owner allow tokens: hullmark stage allow-tokens %s %s",
		c.Name, version, c.Ecosystem, c.Name)
}

func tokensSubject(ecosystem, name string) string { return "tokens:" + ecosystem + ":" + name }

// TokensAllowed reports whether an owner has re-allowed tokens for a name.
func (s *Service) TokensAllowed(ctx context.Context, ecosystem, name string) (bool, error) {
	_, which, err := s.latestRule(ctx, tokensSubject(ecosystem, name), actionAllowTokens, actionForbidTokens)
	return which == actionAllowTokens, err
}

// AllowTokens lets a name be published by tokens again although a trusted publisher has published it, or
// ends this. It needs Own on the name, and a person: a pipeline must not lower what it is held to. Codes:
// person-required and those of Authorize.
func (s *Service) AllowTokens(ctx context.Context, actor evidence.Actor, ecosystem, name string, allow bool) error {
	if err := s.mayGovern(ctx, actor, Scope{Ecosystem: ecosystem, Name: name}); err != nil {
		return err
	}
	before, err := s.TokensAllowed(ctx, ecosystem, name)
	if err != nil || before == allow {
		return err
	}
	action, reason := actionAllowTokens, "tokens may publish "+name+" beside its trusted publisher"
	if !allow {
		action, reason = actionForbidTokens, "tokens may not publish "+name+" once its trusted publisher has"
	}
	_, err = s.record.Append(ctx, nil, s.rule(actor, tokensSubject(ecosystem, name), action, reason, nil))
	return err
}

func ignoreNone(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the record: %w", err)
	}
	return nil
}

// who is an actor in a sentence.
func who(a evidence.Actor) string {
	if a.Workload != nil {
		return "the pipeline " + clip(a.Workload.Subject, briefName)
	}
	return a.Account
}

package oidc

import (
	"context"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxNames bounds what one token covers, and with it the statements of one exchange.
const maxNames = 500

// chosen is the publisher that a token is of, for one name.
type chosen struct {
	*Publisher
	learnt map[string]string
}

// choose finds the publishers that a token is of: one for each name, in the order of names.
func (e *exchange) choose(ctx context.Context) ([]chosen, error) {
	byName, names, err := e.candidates(ctx)
	if err != nil {
		return nil, err
	}
	var out []chosen
	var closest []string
	e.as = nil
	for _, name := range names {
		best, near, mismatches, err := e.best(ctx, name, byName[name])
		switch {
		case err != nil:
			return nil, err
		case best != nil:
			out = append(out, *best)
		case near != nil && (closest == nil || len(mismatches) < len(closest)):
			closest, e.about = mismatches, near.Name
		}
	}
	switch {
	case len(out) > maxNames:
		return nil, fault.New(fault.TooLarge, "publisher-limit",
			"%d names of %s trust this run, and one token covers %d at most; remove the publishers that are not used any more", len(out), e.Ecosystem, maxNames)
	case len(out) > 0:
		return out, nil
	case len(e.without) > 0:
		return nil, e.without[0].error
	case closest != nil:
		return nil, fault.New(fault.Denied, "publisher-mismatch", "no trusted publisher of %s matches this run: %s", e.about, strings.Join(closest, "; "))
	}
	return nil, e.errNoPublisher()
}

// candidates are the publishers that a token may be of, and their names. By issuer: what a token of one issuer
// claims is never compared with a publisher of another.
func (e *exchange) candidates(ctx context.Context) (byName map[string][]*Publisher, names []string, err error) {
	where, args := `ecosystem = $1 AND issuer = $2 AND name = $3`, []any{e.Ecosystem, e.id.issuer, e.Name}
	if e.Name == "" {
		where, args = `ecosystem = $1 AND issuer = $2 AND whose IN ('', $3)`, []any{e.Ecosystem, e.id.issuer, e.id.whose()}
	}
	found, err := e.publishers(ctx, where, args...)
	if err != nil {
		return nil, nil, err
	}
	byName = map[string][]*Publisher{}
	for i := range found {
		p := &found[i]
		if slices.ContainsFunc(e.without, func(u unclaimable) bool { return u.publisher == p.ID }) {
			continue
		}
		if byName[p.Name] == nil {
			names = append(names, p.Name)
		}
		byName[p.Name] = append(byName[p.Name], p)
	}
	slices.Sort(names)
	return byName, names, nil
}

// best returns the publisher of a name that a token is of: of several the one that demands most. When none
// is, near is the one that trusts the same pipeline and differs least.
func (e *exchange) best(ctx context.Context, name string, found []*Publisher) (best *chosen, near *Publisher, mismatches []string, err error) {
	holder, err := e.Accounts.HolderOf(ctx, nil, e.Ecosystem, name)
	if err != nil {
		return nil, nil, nil, err
	}
	for _, p := range found {
		if p.Provider != e.id.provider.name || !p.Pending && p.Organisation != holder || p.Pending && holder != "" && holder != p.Organisation {
			continue // of another owner: whoever has the name now did not trust it
		}
		learnt, differences, ours := p.match(e.id.provider, e.id.claims)
		switch {
		case len(differences) > 0:
			if ours && (near == nil || len(differences) < len(mismatches)) {
				near, mismatches = p, differences
			}
		case best == nil || best.Pending && !p.Pending || best.Pending == p.Pending && p.narrowness() > best.narrowness():
			best = &chosen{p, learnt}
		}
	}
	return best, near, mismatches, nil
}

// errNoPublisher says the same when there is none and when all are of others: a stranger with a token does
// not learn which names exist.
func (e *exchange) errNoPublisher() error {
	whose := e.id.claims.Text("sub")
	what := "subject"
	if fields := e.id.provider.fields; len(fields) > 0 && fields[0].claim != "" {
		what, whose = fields[0].name, e.id.claims.Text(fields[0].claim)
	}
	of := e.Name + " has"
	if e.Name == "" {
		of = "none of " + e.what() + " has"
	}
	return fault.New(fault.Denied, "publisher-unknown", "%s no trusted publisher of %s whose %s is %q; its owner adds one with: hullmark trust add",
		of, e.id.issuer, what, clip(whose))
}

// whose is whose pipeline the publisher is pinned to, as the table keeps it; empty where that is not one claim.
func (p *Publisher) whose() string {
	prov, err := providerNamed(p.Provider)
	if err != nil || len(prov.fields) == 0 || prov.fields[0].claim == "" {
		return ""
	}
	return strings.ToLower(p.Claims[prov.fields[0].name])
}

// whose is the same of a token.
func (id *identity) whose() string {
	if fields := id.provider.fields; len(fields) > 0 && fields[0].claim != "" {
		return strings.ToLower(id.claims.Text(fields[0].claim))
	}
	return ""
}

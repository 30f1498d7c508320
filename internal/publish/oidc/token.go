package oidc

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxToken bounds a token in bytes; the largest that is known is about 3 KiB.
const maxToken = 16 << 10

// algorithms are those that a token may be signed with. A token does not choose among them either: the key
// with its id has one.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256}

// identity is a token that was verified.
type identity struct {
	provider *provider
	issuer   string
	claims   Claims
	// id is what makes the token one: its jti or, without one, what was signed. Not the whole token: an
	// ECDSA signature can be changed into another valid one by anybody.
	id    string
	until time.Time // up to when it would be accepted
}

// verify checks a token from the outside in: its form, whether its issuer is one of ours, its signature, and
// then what it says about itself. Codes: identity-token-malformed,
// identity-token-invalid, issuer-unknown, issuer-unreachable.
func (s *Service) verify(ctx context.Context, token, audience string) (*identity, error) {
	jws, unverified, err := parseToken(token)
	if err != nil {
		return nil, fault.New(fault.Invalid, "identity-token-malformed",
			"this is no identity token that is taken here; send the one of the CI provider, signed with RS256 or ES256, with a key id").Because(err)
	}
	iss, err := s.issuerOf(ctx, unverified.Text("iss"))
	if err != nil {
		return nil, err
	}
	header := jws.Signatures[0].Protected
	key, err := s.keys.find(ctx, iss, header.KeyID)
	if err != nil {
		return nil, err
	}
	if key.Algorithm != "" && key.Algorithm != header.Algorithm {
		return nil, errToken("its key is for another algorithm")
	}
	payload, err := jws.Verify(key)
	if err != nil {
		return nil, errToken("its signature does not hold").Because(err)
	}
	claims, err := ParseClaims(payload)
	if err != nil {
		return nil, errToken("its claims cannot be read").Because(err)
	}
	id := &identity{provider: iss.provider, issuer: iss.URL, claims: claims, id: tokenID(token, claims)}
	return id, id.check(audience, s.Clock.Now())
}

// parseToken reads the compact form of a token and what it claims, without believing it.
func parseToken(token string) (*jose.JSONWebSignature, Claims, error) {
	if len(token) > maxToken {
		return nil, Claims{}, errors.New("the token is too long")
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if err != nil {
		return nil, Claims{}, err
	}
	if len(jws.Signatures) != 1 {
		return nil, Claims{}, errors.New("the token has not one signature")
	}
	header := jws.Signatures[0].Protected
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	_, critical := header.ExtraHeaders["crit"]
	switch {
	case header.KeyID == "" || len(header.KeyID) > maxPin:
		return nil, Claims{}, errors.New("the token does not name its key")
	case typ != "" && !strings.EqualFold(typ, "JWT"):
		return nil, Claims{}, errors.New("the token is of another type")
	case critical || header.JSONWebKey != nil:
		return nil, Claims{}, errors.New("the token's header asks for what no identity token needs")
	}
	claims, err := ParseClaims(jws.UnsafePayloadWithoutVerification())
	return jws, claims, err
}

func tokenID(token string, c Claims) string {
	what := "jti " + c.Text("jti")
	if c.Text("jti") == "" {
		what = "signed " + token[:strings.LastIndexByte(token, '.')]
	}
	sum := sha256.Sum256([]byte(what))
	return hex.EncodeToString(sum[:])
}

// check looks at what a token says about itself.
func (id *identity) check(audience string, now time.Time) error {
	c := id.claims
	if c.Text("iss") != id.issuer {
		return errToken("its issuer is not the one whose key signed it")
	}
	if got, ok := id.audience(); !ok || got != audience {
		return errToken("its audience must be %q and nothing else; ask the provider for a token for that audience", audience)
	}
	exp, hasExp, err1 := c.seconds("exp")
	iat, hasIat, err2 := c.seconds("iat")
	nbf, hasNbf, err3 := c.seconds("nbf")
	switch err := errors.Join(err1, err2, err3); {
	case err != nil:
		return errToken("its times cannot be read").Because(err)
	case !hasExp || !hasIat:
		return errToken("it does not say when it was made and when it ends")
	case !now.Before(exp.Add(leeway)):
		return errToken("it has expired; get a new one right before publishing")
	case now.Before(iat.Add(-leeway)), hasNbf && now.Before(nbf.Add(-leeway)):
		return errToken("it is not valid yet; compare the clocks of the two machines")
	case exp.Sub(iat) > id.provider.life:
		return errToken("it is valid for longer than %s; ask the provider for a shorter one", id.provider.life)
	}
	id.until = exp.Add(leeway)
	return nil
}

// audience returns the one audience. A list is refused even with one entry, because who is also in a list
// could use the token here; only where a provider never sends anything else is a list of one taken.
func (id *identity) audience() (string, bool) {
	if list := id.claims.List("aud"); list != nil {
		return strings.Join(list, ""), id.provider.audienceList && len(list) == 1
	}
	one := id.claims.Text("aud")
	return one, one != "" && !id.claims.values["aud"].number
}

func errToken(why string, args ...any) *fault.Error {
	return fault.New(fault.Unauthenticated, "identity-token-invalid", "the identity token is not accepted: "+why, args...)
}

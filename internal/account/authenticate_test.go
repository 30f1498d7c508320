package account

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

func basic(user, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+secret))
}

func TestTheAuthorizationHeaderSaysWhoAsks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, secret := w.user("alice")
	w.must(w.CreateUser(w.ctx, w.admin, "bob", "correct horse battery"))
	wrongSum := secret[:len(secret)-1] + string(base62[(strings.IndexByte(base62, secret[len(secret)-1])+1)%62])
	unknown, err := w.newSecret("hm_")
	w.must(err)
	for title, c := range map[string]struct{ header, account, method, code string }{
		"no header is nobody":                      {"", "", "", ""},
		"a bearer token":                           {"Bearer " + secret, "alice", "token", ""},
		"the scheme in any case":                   {"bEARER " + secret, "alice", "token", ""},
		"a token as the owner's password":          {basic("alice", secret), "alice", "token", ""},
		"a token as twine sends it":                {basic("__token__", secret), "alice", "token", ""},
		"a token as docker users send it":          {basic("token", secret), "alice", "token", ""},
		"a token under another name":               {basic("bob", secret), "", "", "credential-invalid"},
		"a token without user":                     {basic("", secret), "", "", "credential-invalid"},
		"the user's password":                      {basic("bob", "correct horse battery"), "bob", "password", ""},
		"a wrong password":                         {basic("bob", "incorrect horse"), "", "", "credential-invalid"},
		"an empty password":                        {basic("bob", ""), "", "", "credential-invalid"},
		"an empty password of who has none":        {basic("alice", ""), "", "", "credential-invalid"},
		"an unknown user":                          {basic("carol", "correct horse battery"), "", "", "credential-invalid"},
		"an impossible user":                       {basic("' OR 1=1 --", "x"), "", "", "credential-invalid"},
		"a token nobody made":                      {"Bearer " + unknown, "", "", "credential-invalid"},
		"a token with a wrong checksum":            {"Bearer " + wrongSum, "", "", "credential-invalid"},
		"a bearer that is no token":                {"Bearer eyJhbGciOi", "", "", "credential-invalid"},
		"a password as bearer":                     {"Bearer correct horse battery", "", "", "credential-invalid"},
		"an unknown scheme":                        {"Digest x", "", "", "credential-invalid"},
		"no scheme":                                {secret, "", "", "credential-invalid"},
		"basic that is not base64":                 {"Basic ???", "", "", "credential-invalid"},
		"basic without colon":                      {"Basic " + base64.StdEncoding.EncodeToString([]byte("alice")), "", "", "credential-invalid"},
		"a token followed by something":            {"Bearer " + secret + " ", "", "", "credential-invalid"},
		"a token id instead of the token's secret": {"Bearer " + strings.TrimPrefix(alice.Credential, "token:"), "", "", "credential-invalid"},
	} {
		actor, err := w.ask(c.header)
		if codeOf(err) != c.code || actor.Account != c.account || actor.Method != c.method {
			t.Errorf("%s: %+v, %v", title, actor, err)
		}
		if c.code == "" && c.account != "" && (actor.AddressHash == "" || actor.Credential == "") {
			t.Errorf("%s: the actor lacks its address or credential: %+v", title, actor)
		}
	}
}

func TestEveryWrongCredentialGetsTheSameSentence(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.must(w.CreateUser(w.ctx, w.admin, "bob", "correct horse battery"))
	_, secret := w.user("alice")
	texts := map[string]bool{}
	for _, h := range []string{basic("bob", "x"), basic("nobody", "x"), "Bearer hm_x", basic("bob", secret), "Nonsense"} {
		_, err := w.ask(h)
		texts[fmt.Sprint(err)] = true
	}
	if len(texts) != 1 {
		t.Errorf("the sentences differ: %v", texts)
	}
}

func TestRevocationIsInForceForTheNextRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, secret := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	w.must(w.Authorize(w.ctx, alice, evidence.Publish, "npm", "@acme/ui"))
	if _, err := w.ActorOf(w.ctx, alice.Credential, here); err != nil {
		t.Fatal(err)
	}
	w.must(w.RevokeToken(w.ctx, alice, strings.TrimPrefix(alice.Credential, "token:")))

	_, err := w.ask("Bearer " + secret)
	w.refused(err, "credential-invalid")
	_, err = w.ActorOf(w.ctx, alice.Credential, here)
	w.refused(err, "credential-invalid")
	w.refused(w.Authorize(w.ctx, alice, evidence.Publish, "npm", "@acme/ui"), "credential-invalid")
	_, err = w.ListTokens(w.ctx, alice)
	w.refused(err, "credential-invalid")
}

func TestATokenExpiresAtItsInstant(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, _ := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	secret := w.token(alice, Token{Scope: Scope{Permission: evidence.Own}, Expires: w.clk.Now().Add(time.Hour)})
	actor := w.login("alice", secret)

	w.clk.advance(time.Hour - time.Millisecond)
	w.login("alice", secret)
	w.must(w.Authorize(w.ctx, actor, evidence.Publish, "npm", "@acme/ui"))
	w.clk.advance(time.Millisecond)
	_, err := w.ask("Bearer " + secret)
	w.refused(err, "token-expired")
	w.refused(w.Authorize(w.ctx, actor, evidence.Publish, "npm", "@acme/ui"), "token-expired")
	_, err = w.ActorOf(w.ctx, actor.Credential, here)
	w.refused(err, "token-expired")
}

func TestATokenIsUsableOnlyFromItsNetworks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secret := w.token(w.admin, Token{Scope: Scope{Permission: evidence.Own}, Networks: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.9/28"), netip.MustParsePrefix("2001:db8::/32"),
	}})
	for addr, code := range map[string]string{
		"192.0.2.1:80": "", "192.0.2.15": "", "[2001:db8::7]:80": "", "[::ffff:192.0.2.1]:80": "",
		"192.0.2.16:80": "token-address", "[2001:db9::7]:80": "token-address", "": "token-address", "@": "token-address",
	} {
		_, err := w.AuthenticateSecret(w.ctx, "token", secret, addr)
		if codeOf(err) != code {
			t.Errorf("from %q: %v, want %q", addr, err, code)
		}
	}
}

func TestTheUseOfATokenIsWrittenDownOncePerMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := w.clk.Now()
	lastUse := func() time.Time {
		tokens, err := w.ListTokens(w.ctx, w.admin)
		w.must(err)
		return tokens[0].LastUsed
	}
	for _, c := range []struct{ after, want time.Duration }{
		{0, 0}, {59 * time.Second, 0}, {time.Second, time.Minute}, {30 * time.Second, time.Minute}, {time.Hour, time.Hour + 90*time.Second},
	} {
		w.clk.advance(c.after)
		w.login("admin", w.first)
		if got := lastUse().Sub(start); got != c.want {
			t.Errorf("at %v: last use after %v, want %v", w.clk.Now(), got, c.want)
		}
	}
}

func TestALastUseIsThrottledAcrossACacheDropToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.clk.advance(30 * time.Second)
	w.must(w.CreateOrganisation(w.ctx, w.admin, "acme"))
	w.login("admin", w.first)
	tokens, err := w.ListTokens(w.ctx, w.admin)
	w.must(err)
	if got := w.clk.Now().Sub(tokens[0].LastUsed); got != 30*time.Second {
		t.Errorf("the last use is %v ago, want 30s", got)
	}
}

func TestGuessingAPasswordIsStoppedForAMinute(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const right = "correct horse battery"
	w.must(w.CreateUser(w.ctx, w.admin, "bob", right))
	for range 3 { // what turns out well is not counted
		w.must(w.CheckPassword(w.ctx, "bob", right, here))
	}
	for range 10 {
		w.refused(w.CheckPassword(w.ctx, "bob", "wrong", here), "credential-invalid")
	}
	w.refused(w.CheckPassword(w.ctx, "bob", right, here), "too-many-attempts")
	w.must(w.CheckPassword(w.ctx, "bob", right, "198.51.100.1:1"))
	w.clk.advance(time.Minute)
	w.must(w.CheckPassword(w.ctx, "bob", right, here))
}

func TestWhoGuessesAtOneAddressLocksNobodyOutAtAnother(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(), time.Unix(0, 0)
	guesser, user := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for range 1000 {
		l.take(now, attemptKeys("bob", guesser))
	}
	if !l.take(now, attemptKeys("bob", user)) {
		t.Error("bob cannot log in any more")
	}
	for i := range 100 { // but many addresses together are slowed
		l.take(now, attemptKeys("bob", netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})))
	}
	if l.take(now, attemptKeys("bob", user)) {
		t.Error("guessing from many addresses is not limited")
	}
}

func TestWaitingToHashAPasswordEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.hashing.unknown <- struct{}{}
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if err := w.CheckPassword(ctx, "bob", "x", here); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want a cancelled wait", err)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	var c table[int, int]
	for i := range maxCached + 1 {
		c.put(i, i)
	}
	if v, ok := c.get(maxCached); !ok || v != maxCached || len(c.m) > maxCached {
		t.Errorf("%d entries, the last is %d, %v", len(c.m), v, ok)
	}
}

func TestTheAddressesOfOneIPv6NetworkCountAsOne(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(), time.Unix(0, 0)
	for i := range 11 {
		from := netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", i+1))
		if got, want := l.take(now, attemptKeys("bob", from)), i < 10; got != want {
			t.Errorf("attempt %d: %v, want %v", i+1, got, want)
		}
	}
}

func TestTheLimiterForgetsWhatHasPassedBeforeItGrows(t *testing.T) {
	t.Parallel()
	l, now := newLimiter(), time.Unix(0, 0)
	for i := range maxWindows {
		l.take(now, []attempt{{fmt.Sprint(i), 1, attemptWindow}})
	}
	l.take(now.Add(attemptWindow), []attempt{{"last", 1, attemptWindow}})
	if len(l.windows) != 1 {
		t.Errorf("%d windows kept, want 1", len(l.windows))
	}
}

func TestManyUseOneTokenWhileRightsChange(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, secret := w.user("alice")
	w.organisation(alice, "acme", "npm", "@acme", Private)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				actor, err := w.AuthenticateSecret(w.ctx, "token", secret, here)
				if err == nil {
					err = w.Authorize(w.ctx, actor, evidence.Publish, "npm", fmt.Sprintf("@acme/p%d", i))
				}
				if err != nil {
					t.Errorf("refused meanwhile: %v", err)
				}
			}
		})
	}
	for range 10 {
		w.must(w.SetVisibility(w.ctx, alice, "npm", "@acme", Private))
	}
	wg.Wait()
}

// TestNothingReadBeforeARevocationSurvivesIt races requests against a revocation; once it has
// returned, none may pass. Other changes keep dropping the cache, so that requests keep reading.
func TestNothingReadBeforeARevocationSurvivesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 40 {
		secret, made, err := w.CreateToken(w.ctx, w.admin, Token{Scope: Scope{Permission: evidence.Own}})
		w.must(err)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						w.cache.Store(newCache())
						_, _ = w.AuthenticateSecret(w.ctx, "token", secret, here)
					}
				}
			})
		}
		w.must(w.RevokeToken(w.ctx, w.admin, made.ID))
		_, err = w.AuthenticateSecret(w.ctx, "token", secret, here)
		close(stop)
		wg.Wait()
		w.refused(err, "credential-invalid")
		_, err = w.AuthenticateSecret(w.ctx, "token", secret, here)
		w.refused(err, "credential-invalid")
	}
}

func TestNoSecretIsStoredInClear(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const password = "correct horse battery"
	w.must(w.CreateUser(w.ctx, w.admin, "bob", password))
	code, poll, err := w.StartLogin(w.ctx, here)
	w.must(err)
	w.must(w.CompleteLogin(w.ctx, code, w.admin))
	code2, poll2, err := w.StartLogin(w.ctx, here)
	w.must(err)
	token, _, err := w.PollLogin(w.ctx, poll)
	w.must(err)
	files, err := filepath.Glob(w.file + "*")
	w.must(err)
	var stored []byte
	for _, f := range files {
		b, err := os.ReadFile(f)
		w.must(err)
		stored = append(stored, b...)
	}
	if !bytes.Contains(stored, []byte("npm login")) {
		t.Fatal("the files do not hold what was written; this test would see nothing")
	}
	for name, secret := range map[string]string{
		"the first token": w.first, "the login's token": token, "a password": password,
		"a login code": code, "a poll secret": poll, "an open login code": code2, "an open poll secret": poll2,
	} {
		if bytes.Contains(stored, []byte(secret)) || bytes.Contains(stored, []byte(strings.TrimPrefix(secret, tokenPrefix))) {
			t.Errorf("%s is in the database", name)
		}
	}
}

package publish

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/fault"
)

// The rules, by the code of the decision that they lead to.
const (
	HookNew           = "install-script-new"     // it runs something on install that its predecessor did not
	HookChanged       = "install-script-changed" // what it runs on install is not what its predecessor ran
	HookFirst         = "install-script-first"   // the first version of a name runs something on install
	BinaryNew         = "binary-new"             // it holds a program that its predecessor did not
	NetworkNew        = "network-new"            // it names hosts that its predecessor did not
	Obfuscated        = "obfuscated"             // a file looks as if it were not to be read
	SizeJump          = "size-jump"              // it is much larger than its predecessor
	DependencyYoung   = "dependency-young"       // it depends on a name whose first version is younger than is usual
	DependencyUnknown = "dependency-unknown"     // it depends on something new of which this record knows no age
	PrincipalNew      = "principal-new"          // its publisher never published the name before
	CredentialChanged = "credential-changed"     // its publisher's password, address or factors changed lately
	BaseChanged       = "base-changed"           // its lowest layer is not its predecessor's
	SettingsChanged   = "settings-changed"       // it runs in another way: entrypoint, user, environment
	SetuidNew         = "setuid-new"             // it holds files that run with their owner's rights, which its predecessor did not
	ComponentNew      = "component-new"          // it holds packages that its predecessor did not
	Burst             = "publish-burst"          // its publisher publishes many names at once
)

// Staged is the code of what waits because it was asked to, or because everything under its name does.
const Staged = "staged"

// Stage is what a rule does with what it finds. Each does what those before it do, too.
type Stage string

// The stages.
const (
	Off   Stage = "off"
	Audit Stage = "audit" // the decision says so
	Warn  Stage = "warn"  // and the publisher is told
	Wait  Stage = "hold"  // and the version waits for a person
)

var strength = map[Stage]int{Off: 0, Audit: 1, Warn: 2, Wait: 3}

// Settings are how the gate treats what is published under some names. What is not set is taken from the
// settings around: a name's from its namespace's, those from the site's, those from [Defaults].
type Settings struct {
	Rules map[string]Stage `json:"rules,omitempty"`
	// Staged makes everything wait for a person, as if it had been staged.
	Staged *bool `json:"staged,omitempty"`
	// Approvals is how many people must approve what waits.
	Approvals int `json:"approvals,omitempty"`
	// Factor is the second factor that an approval takes: "webauthn", "any" or "none". Where none is
	// set, it is WebAuthn for accounts that have a passkey, and none for others.
	Factor string `json:"factor,omitempty"`
	// DependencyAge is from what age on a dependency is no longer young.
	DependencyAge Duration `json:"dependencyAge,omitempty"`
	// SizeFactor and SizeGrowth (bytes) are from where on a version is much larger: either will do.
	SizeFactor int   `json:"sizeFactor,omitempty"`
	SizeGrowth int64 `json:"sizeGrowth,omitempty"`
	// Burst is how many publications over how many names within which time are many.
	Burst *BurstLimit `json:"burst,omitempty"`
	// StageLife is how long what was staged waits before it is withdrawn.
	StageLife Duration `json:"stageLife,omitempty"`
}

// BurstLimit is exceeded by more publications than Publications over more names than Names.
type BurstLimit struct {
	Publications int      `json:"publications"`
	Names        int      `json:"names"`
	Within       Duration `json:"within"`
}

// Duration is a time.Duration that is text in JSON.
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = Duration(parsed)
	return err
}

// Defaults returns the settings of a site that nobody configured.
func Defaults() Settings {
	staged := false
	return Settings{
		Rules: map[string]Stage{
			HookNew: Wait, HookChanged: Wait, HookFirst: Warn, BinaryNew: Warn, NetworkNew: Audit, Obfuscated: Warn, SizeJump: Warn,
			DependencyYoung: Wait, DependencyUnknown: Audit, PrincipalNew: Warn, CredentialChanged: Wait, Burst: Wait,
			BaseChanged: Audit, SettingsChanged: Warn, SetuidNew: Warn, ComponentNew: Audit,
		},
		Staged: &staged, Approvals: 1, DependencyAge: Duration(72 * time.Hour), SizeFactor: 10, SizeGrowth: 10 << 20,
		Burst:     &BurstLimit{Publications: 30, Names: 10, Within: Duration(10 * time.Minute)},
		StageLife: Duration(30 * 24 * time.Hour),
	}
}

// over returns s with what around sets and s does not.
func (s Settings) over(around Settings) Settings {
	out := around
	out.Rules = maps.Clone(around.Rules)
	maps.Copy(out.Rules, s.Rules)
	if s.Staged != nil {
		out.Staged = s.Staged
	}
	if s.Approvals != 0 {
		out.Approvals = s.Approvals
	}
	if s.Factor != "" {
		out.Factor = s.Factor
	}
	if s.DependencyAge != 0 {
		out.DependencyAge = s.DependencyAge
	}
	if s.SizeFactor != 0 {
		out.SizeFactor = s.SizeFactor
	}
	if s.SizeGrowth != 0 {
		out.SizeGrowth = s.SizeGrowth
	}
	if s.Burst != nil {
		out.Burst = s.Burst
	}
	if s.StageLife != 0 {
		out.StageLife = s.StageLife
	}
	return out
}

// The most that settings take.
const (
	maxApprovals = 20
	maxAge       = Duration(90 * 24 * time.Hour)
	maxLife      = Duration(365 * 24 * time.Hour)
	minLife      = Duration(time.Hour)
	maxBurst     = 10_000
	maxWithin    = Duration(24 * time.Hour)
)

// check fails with code hold-settings-invalid.
func (s Settings) check() error {
	known := Defaults().Rules
	for rule, stage := range s.Rules {
		if _, ok := known[rule]; !ok {
			return errSettings("%q is no rule; the rules are %s", clip(rule, briefName), strings.Join(slices.Sorted(maps.Keys(known)), ", "))
		}
		if _, ok := strength[stage]; !ok {
			return errSettings("%q is no stage of the rule %s; use off, audit, warn or hold", clip(string(stage), briefName), rule)
		}
	}
	switch {
	case s.Factor != "" && s.Factor != "webauthn" && s.Factor != "any" && s.Factor != "none":
		return errSettings("%q is no second factor; use webauthn, any or none", clip(s.Factor, briefName))
	case s.Approvals < 0 || s.Approvals > maxApprovals:
		return errSettings("%d approvals are asked for; use 1 to %d", s.Approvals, maxApprovals)
	case s.DependencyAge < 0 || s.DependencyAge > maxAge:
		return errSettings("an age of dependencies is 0s to %s", time.Duration(maxAge))
	case s.SizeFactor < 0 || s.SizeFactor > 1_000_000 || s.SizeGrowth < 0:
		return errSettings("a size factor is 1 to 1000000, and a growth is not negative")
	case s.StageLife != 0 && (s.StageLife < minLife || s.StageLife > maxLife):
		return errSettings("what is staged waits %s to %s", time.Duration(minLife), time.Duration(maxLife))
	}
	return s.Burst.check()
}

func (b *BurstLimit) check() error {
	if b == nil {
		return nil
	}
	if b.Publications < 1 || b.Publications > maxBurst || b.Names < 1 || b.Names > maxBurst || b.Within <= 0 || b.Within > maxWithin {
		return errSettings("a burst takes 1 to %d publications and names within up to %s", maxBurst, time.Duration(maxWithin))
	}
	return nil
}

func errSettings(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "hold-settings-invalid", format, args...)
}

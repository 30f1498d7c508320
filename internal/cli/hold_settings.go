package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

// scopeFlags name whose settings are meant.
type scopeFlags struct{ namespace, name, ecosystem string }

func (f *scopeFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.ecosystem, "ecosystem", "npm", "npm or oci")
	cmd.Flags().StringVar(&f.namespace, "namespace", "", "of this namespace (default: of the site)")
	cmd.Flags().StringVar(&f.name, "name", "", "of this one name")
}

func (f *scopeFlags) scope() (client.HoldScope, error) {
	if f.namespace != "" && f.name != "" {
		return client.HoldScope{}, usageError{fmt.Errorf("--namespace and --name exclude each other")}
	}
	return client.HoldScope{Ecosystem: f.ecosystem, Namespace: f.namespace, Name: f.name}, nil
}

func newHoldSettings(e *env) *cobra.Command {
	var f scopeFlags
	cmd := asker(e, "settings", "Show which rules hold versions, and what an approval takes",
		func(ctx context.Context, c *client.Client, _ []string) (resource.HoldSettingsInForce, error) {
			sc, err := f.scope()
			if err != nil {
				return resource.HoldSettingsInForce{}, err
			}
			return c.HoldSettings(ctx, sc)
		}, printHoldSettings)
	f.add(cmd)
	return cmd
}

func printHoldSettings(p *output.Printer, s resource.HoldSettingsInForce) {
	in := s.InForce
	mark := func(own bool) string {
		if own {
			return "set here"
		}
		return ""
	}
	rows := [][]string{}
	for _, rule := range slices.Sorted(maps.Keys(in.Rules)) {
		_, own := s.Own.Rules[rule]
		rows = append(rows, []string{rule, in.Rules[rule], mark(own)})
	}
	p.Table([]string{"RULE", "STAGE", ""}, rows)
	factor := in.Factor
	if factor == "" {
		factor = "webauthn for accounts with a passkey"
	}
	rows = [][]string{
		{"staged", fmt.Sprint(in.Staged != nil && *in.Staged), mark(s.Own.Staged != nil)},
		{"approvals", strconv.Itoa(in.Approvals), mark(s.Own.Approvals != 0)},
		{"factor", factor, mark(s.Own.Factor != "")},
		{"dependency-age", in.DependencyAge, mark(s.Own.DependencyAge != "")},
		{"size-factor", fmt.Sprint(in.SizeFactor), mark(s.Own.SizeFactor != 0)},
		{"size-growth", fmt.Sprint(in.SizeGrowth), mark(s.Own.SizeGrowth != 0)},
		{"stage-life", in.StageLife, mark(s.Own.StageLife != "")},
	}
	if b := in.Burst; b != nil {
		rows = append(rows, []string{"burst", fmt.Sprintf("%d/%d/%s", b.Publications, b.Names, b.Within), mark(s.Own.Burst != nil)})
	}
	if s.TokensAllowed {
		rows = append(rows, []string{"tokens", "allowed beside the trusted publisher", "set here"})
	}
	p.Line("")
	p.Table([]string{"SETTING", "VALUE", ""}, rows)
}

func newHoldSet(e *env) *cobra.Command {
	var f scopeFlags
	cmd := &cobra.Command{
		Use: "set SETTING=VALUE...", Short: "Change which rules hold versions, and what an approval takes", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			sc, err := f.scope()
			if err != nil {
				return err
			}
			c, err := e.client()
			if err != nil {
				return err
			}
			now, err := c.HoldSettings(cmd.Context(), sc)
			if err != nil {
				return err
			}
			for _, arg := range args {
				if err := setHold(&now.Own, arg); err != nil {
					return usageError{err}
				}
			}
			changed, err := c.SetHoldSettings(cmd.Context(), sc, now.Own)
			if err != nil {
				return err
			}
			return e.printer().Print(changed, func(p *output.Printer) { printHoldSettings(p, changed) })
		},
	}
	cmd.Long = `Change settings of the site, of a namespace (--namespace) or of one name (--name). A rule is set to off, audit (the record says
so), warn (and the publisher is told) or hold (and the version waits for a person). An empty value takes the setting from around.`
	cmd.Example = "  hullmark hold set --namespace @acme network-new=hold approvals=2 factor=webauthn\n" +
		"  hullmark hold set --ecosystem oci --namespace acme staged=true\n  hullmark hold set publish-burst=hold burst=30/10/10m"
	f.add(cmd)
	return cmd
}

// setHold changes one setting; what is no setting is taken for a rule.
func setHold(s *resource.HoldSettings, arg string) (err error) {
	key, value, found := strings.Cut(arg, "=")
	if !found {
		return fmt.Errorf("%q is not of the form SETTING=VALUE", arg)
	}
	switch key {
	case "staged":
		s.Staged = nil
		if value != "" {
			staged, perr := strconv.ParseBool(value)
			s.Staged, err = &staged, perr
		}
	case "approvals":
		s.Approvals, err = orZero(value, strconv.Atoi)
	case "factor":
		s.Factor = value
	case "dependency-age":
		s.DependencyAge, err = orZero(value, normalDuration)
	case "stage-life":
		s.StageLife, err = orZero(value, normalDuration)
	case "size-factor":
		s.SizeFactor, err = orZero(value, strconv.Atoi)
	case "size-growth":
		s.SizeGrowth, err = orZero(value, func(v string) (int64, error) { return strconv.ParseInt(v, 10, 64) })
	case "burst":
		s.Burst, err = orZero(value, parseBurst)
	default:
		if s.Rules == nil {
			s.Rules = map[string]string{}
		}
		s.Rules[key] = value
		if value == "" {
			delete(s.Rules, key)
		}
	}
	if err != nil {
		return fmt.Errorf("%s takes no %q", key, value)
	}
	return nil
}

func orZero[T any](value string, parse func(string) (T, error)) (zero T, err error) {
	if value == "" {
		return zero, nil
	}
	return parse(value)
}

func normalDuration(value string) (string, error) {
	d, err := duration(value)
	return d.String(), err
}

// parseBurst reads PUBLICATIONS/NAMES/WITHIN.
func parseBurst(value string) (*resource.Burst, error) {
	parts := strings.Split(value, "/")
	if len(parts) != 3 {
		return nil, fmt.Errorf("not three parts")
	}
	publications, err := strconv.Atoi(parts[0])
	if err != nil {
		return nil, err
	}
	names, err := strconv.Atoi(parts[1])
	if err != nil {
		return nil, err
	}
	within, err := time.ParseDuration(parts[2])
	return &resource.Burst{Publications: publications, Names: names, Within: within.String()}, err
}

package cli

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hullmark/hullmark/internal/api/client"
	"github.com/hullmark/hullmark/internal/api/resource"
	"github.com/hullmark/hullmark/internal/cli/output"
)

// confirmWithin is how long a command waits for somebody at a browser; the server waits as long.
const confirmWithin = 10 * time.Minute

// askFactor prints the address at which the second factor can be given and waits until it was. Where
// nobody looks at a terminal it only prints it: a pipeline must not hang.
func (e *env) askFactor(c *client.Client) client.Asker {
	return func(ctx context.Context, missing client.StepUpError) (string, error) {
		if e.otp != "" {
			return "", nil // the code was not right: the answer says so
		}
		e.say("This needs your second factor. Confirm at\n\n  %s\n\nor repeat the command with --otp and a code of your app.", missing.AuthURL)
		terminal := e.Err == os.Stderr && term.IsTerminal(int(os.Stderr.Fd()))
		if !terminal && !e.wait {
			return "", nil
		}
		ctx, cancel := context.WithTimeout(ctx, confirmWithin)
		defer cancel()
		return c.AwaitProof(ctx, missing)
	}
}

func newMFA(e *env) *cobra.Command {
	return group("mfa", "Second factors, and the rules that ask for them", "account",
		newMFAStatus(e),
		group("totp", "An authenticator app", "",
			newTOTPAdd(e), newTOTPBegin(e), newTOTPConfirm(e),
			e.sender("remove", "Remove your authenticator app; publishing is frozen for a day", "removed",
				func(ctx context.Context, c *client.Client, _ []string) error { return c.RemoveTOTP(ctx) })),
		group("passkey", "Passkeys; they are added in the browser", "", newPasskeyList(e)),
		asker(e, "recovery-codes", "Replace your recovery codes and print the new ones, once",
			func(ctx context.Context, c *client.Client, _ []string) (resource.RecoveryCodes, error) {
				return c.RenewRecoveryCodes(ctx)
			}, printCodes),
		group("rules", "Rules: who must prove what, before they do what", "", newRulesList(e), newRulesSet(e)))
}

func printCodes(p *output.Printer, codes resource.RecoveryCodes) {
	for _, code := range codes.Codes {
		p.Line("%s", code)
	}
}

func newMFAStatus(e *env) *cobra.Command {
	return asker(e, "status", "What your account can prove itself by",
		func(ctx context.Context, c *client.Client, _ []string) (resource.Factors, error) {
			return c.Factors(ctx)
		},
		func(p *output.Printer, f resource.Factors) {
			app := "none"
			if f.TOTP {
				app = "since " + day(f.TOTPSince, "")
			}
			p.Line("authenticator app  %s", app)
			p.Line("passkeys           %d", len(f.Passkeys))
			p.Line("recovery codes     %d left", f.RecoveryCodes)
			if f.FrozenUntil != nil {
				p.Line("publishing         frozen until %s", day(f.FrozenUntil, ""))
			}
		})
}

func newPasskeyList(e *env) *cobra.Command {
	return lister(e, "list", "List your passkeys",
		func(ctx context.Context, c *client.Client, _ []string) ([]resource.Passkey, error) {
			f, err := c.Factors(ctx)
			return f.Passkeys, err
		},
		[]string{"ID", "LABEL", "ADDED", "LAST USED"}, func(k resource.Passkey) []string {
			return []string{k.ID, k.Label, day(&k.Created, ""), day(k.LastUsed, "never")}
		})
}

func newTOTPBegin(e *env) *cobra.Command {
	return asker(e, "begin", "Print a new secret for your app; it counts once it is confirmed",
		func(ctx context.Context, c *client.Client, _ []string) (resource.NewTOTP, error) {
			return c.BeginTOTP(ctx)
		}, func(p *output.Printer, made resource.NewTOTP) { p.Line("%s", made.Secret) })
}

func newTOTPConfirm(e *env) *cobra.Command {
	return asker(e, "confirm CODE", "Put the app into force with the code that it shows; prints your recovery codes",
		func(ctx context.Context, c *client.Client, args []string) (resource.RecoveryCodes, error) {
			return c.ConfirmTOTP(ctx, args[0])
		}, printCodes)
}

func newTOTPAdd(e *env) *cobra.Command {
	return asker(e, "add", "Add your authenticator app: shows the secret, asks for a code, prints recovery codes",
		func(ctx context.Context, c *client.Client, _ []string) (resource.RecoveryCodes, error) {
			made, err := c.BeginTOTP(ctx)
			if err != nil {
				return resource.RecoveryCodes{}, err
			}
			e.say("Type this into your authenticator app:\n\n  %s\n\nor open %s\n\nCode that it shows:", made.Secret, made.URI)
			code, err := readSecret(e.In)
			if err != nil {
				return resource.RecoveryCodes{}, err
			}
			codes, err := c.ConfirmTOTP(ctx, code)
			if err == nil && len(codes.Codes) > 0 {
				e.say("Keep these recovery codes where your app is not; each works once:")
			}
			return codes, err
		}, printCodes)
}

func newRulesList(e *env) *cobra.Command {
	return lister(e, "list ORG", "List the rules of an organisation and of what it owns",
		func(ctx context.Context, c *client.Client, args []string) ([]resource.MFARule, error) {
			return c.MFARules(ctx, args[0])
		},
		[]string{"ON", "ACTION", "LEVEL", "AUTOMATION"}, ruleRow)
}

func ruleRow(r resource.MFARule) []string {
	on := firstOf(r.Organisation, r.Ecosystem+" "+firstOf(r.Package, r.Namespace))
	automation := "refused"
	if r.Automation {
		automation = "passes with --bypass-2fa"
	}
	return []string{on, r.Action, r.Level, automation}
}

func newRulesSet(e *env) *cobra.Command {
	var r resource.MFARule
	cmd := asker(e, "set", "Set a rule, or remove it with --level none",
		func(ctx context.Context, c *client.Client, _ []string) (resource.MFARule, error) {
			return c.SetMFA(ctx, r)
		},
		func(p *output.Printer, set resource.MFARule) {
			p.Table([]string{"ON", "ACTION", "LEVEL", "AUTOMATION"}, [][]string{ruleRow(set)})
		})
	cmd.Example = `  hullmark mfa rules set --org acme --action publish --level any --automation
  hullmark mfa rules set --ecosystem npm --package @acme/core --action publish --level phishing-resistant`
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if (r.Organisation == "") == (r.Namespace == "" && r.Package == "") {
			return usageError{errors.New("name one of --org, --namespace and --package")}
		}
		return required("--level", r.Level)
	}
	flags := cmd.Flags()
	flags.StringVar(&r.Organisation, "org", "", "everything that the organisation owns")
	flags.StringVar(&r.Ecosystem, "ecosystem", "", "of the namespace or package: npm or oci")
	flags.StringVar(&r.Namespace, "namespace", "", "everything in the namespace, like @acme")
	flags.StringVar(&r.Package, "package", "", "one name, like @acme/ui")
	flags.StringVar(&r.Action, "action", "publish", "stage, publish, own (each with what includes it) or, for --org, manage")
	flags.StringVar(&r.Level, "level", "", "none, any or phishing-resistant (a passkey)")
	flags.BoolVar(&r.Automation, "automation", false, "let tokens made with --bypass-2fa through")
	return cmd
}

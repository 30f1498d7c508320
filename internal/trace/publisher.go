package trace

import (
	"database/sql"
	"fmt"
	"math"
	"slices"
)

// byPublisher goes from an account to what it published, newest first, and where that is.
func (r *reader) byPublisher(account string) (*Node, string, error) {
	groups, err := r.publishedNames(account)
	if err != nil {
		return nil, "", err
	}
	total, hidden := 0, 0
	for _, g := range groups {
		ok, err := r.mayRead(g.ecosystem, g.name)
		if err != nil {
			return nil, "", err
		}
		if ok {
			total += g.count
		} else {
			hidden += g.count
		}
	}
	if total == 0 {
		return nil, "", nil
	}
	all, err := r.newest(account)
	if err != nil {
		return nil, "", err
	}
	root := &Node{Kind: KindPublisher, ID: account, Title: "publisher " + account}
	found, err := r.addReleases(root, all, total)
	if err != nil {
		return nil, "", err
	}
	root.add(unreadable(hidden, "release"))
	summary := "published " + plural(total, "release")
	if slices.ContainsFunc(all, func(l release) bool { return !l.isImage() }) {
		summary += fmt.Sprintf("; the newest %d %s", len(all), found.sentence())
	}
	return root, summary, nil
}

// newest returns the account's newest readable releases, as many as are expanded.
func (r *reader) newest(account string) ([]release, error) {
	var out []release
	for before := int64(math.MaxInt64); ; {
		page, err := r.releases(`WHERE r.publisher = $1 AND r.id < $2 ORDER BY r.id DESC LIMIT 100`, account, before)
		if err != nil || len(page) == 0 {
			return out, err
		}
		seen, _, err := r.visible(page)
		if err != nil {
			return nil, err
		}
		out = append(out, seen...)
		if len(out) >= expanded {
			return out[:expanded], nil
		}
		before = page[len(page)-1].id
	}
}

type publishedName struct {
	nameKey
	count int
}

func (r *reader) publishedNames(account string) (map[int64]publishedName, error) {
	out := map[int64]publishedName{}
	err := r.Each(`SELECT p.id, p.ecosystem, p.name, count(*) FROM release r JOIN package p ON p.id = r.package_id
		WHERE r.publisher = $1 GROUP BY p.id`, []any{account}, func(rows *sql.Rows) error {
		var id int64
		var g publishedName
		err := rows.Scan(&id, &g.ecosystem, &g.name, &g.count)
		out[id] = g
		return err
	})
	return out, err
}

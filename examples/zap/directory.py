#!/usr/bin/python3
"""A ZAP handler over LDAP: `directory.py ENDPOINT URL BASE [--key-attribute NAME]`.

PLAIN: the user is who the directory lets bind as uid=USER,BASE with that password.
CURVE: the user is the uid of the one entry below BASE whose key attribute (description, if not said) holds the Z85
public key. The search is anonymous. Domains are not told apart: give each its own BASE.
"""
import argparse

import ldap
import ldap.dn
import ldap.filter

import zap

TIMEOUT_S = 3


class Directory:
    def __init__(self, url, base, key_attribute):
        self.url = url
        self.base = base
        self.key_attribute = key_attribute

    def connect(self):
        directory = ldap.initialize(self.url)
        directory.set_option(ldap.OPT_NETWORK_TIMEOUT, TIMEOUT_S)
        directory.set_option(ldap.OPT_TIMEOUT, TIMEOUT_S)
        directory.set_option(ldap.OPT_REFERRALS, 0)
        return directory

    def user_of_key(self, key):
        wanted = f"({self.key_attribute}={ldap.filter.escape_filter_chars(key)})"
        found = self.connect().search_s(self.base, ldap.SCOPE_SUBTREE, wanted, ["uid", self.key_attribute])
        # A directory may compare without regard to case; a key differs by it.
        users = [entry["uid"][0].decode() for _, entry in found
                 if "uid" in entry and key.encode() in entry.get(self.key_attribute, [])]
        return users[0] if len(users) == 1 else None

    def binds(self, user, password):
        if not user or not password:  # a bind without a password succeeds for anybody
            return False
        try:
            self.connect().simple_bind_s(f"uid={ldap.dn.escape_dn_chars(user)},{self.base}", password)
        except (ldap.INVALID_CREDENTIALS, ldap.NO_SUCH_OBJECT, ldap.INAPPROPRIATE_AUTH, ldap.INVALID_DN_SYNTAX):
            return False
        return True

    def authorize(self, request):
        try:
            if request.mechanism == "CURVE":
                return self.user_of_key(request.curve_key)
            if request.mechanism == "PLAIN":
                return request.user if self.binds(request.user, request.password) else None
        except ldap.LDAPError as error:
            raise zap.ListUnreadable(f"{self.url}: {error}") from error
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("endpoint")
    parser.add_argument("url")
    parser.add_argument("base")
    parser.add_argument("--key-attribute", default="description")
    given = parser.parse_args()
    zap.serve(given.endpoint, Directory(given.url, given.base, given.key_attribute).authorize)


main()

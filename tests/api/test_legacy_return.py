"""The legacy scheme and a tenant that was erased: it is one never heard of, as the table says."""

from pathlib import Path

from support.command import told
from support.house import House


def test_an_erased_tenant_installs_again_without_a_token(tmp_path: Path) -> None:
    """With LEGACY_INSTALL a tenant that was erased installs like a new one, unsigned, and works."""
    with House(tmp_path, {"LEGACY_INSTALL": "on"}) as house:
        site = house.installed()
        assert site.uninstall().status == 204
        told(tmp_path, house.settings, "erase", site.client_key)
        back = house.site(client_key=site.client_key, base_url=site.base_url)
        assert back.legacy_install(signed=False).status == 204
        assert house.kinds(site.client_key)[-2:] == ["erased", "installed"]
        assert back.enable().status == 204
        assert house.page(back).status_code == 200

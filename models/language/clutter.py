"""Clutter of web pages (menus, adverts, notices), with gaps filled at random, to be mixed into undamaged text."""

from __future__ import annotations

import random
import re

SEEN = """
We use cookies to {improve} your experience. By continuing you {accept} our cookie policy.
This website uses cookies. [Accept all] [Reject] [Manage preferences]
Your privacy matters to us. Read our privacy policy and terms of service.
Share this: {network} | {network} | {network} | Email
Follow us on {network} and {network} for more {stuff}!
Like this post? Share it on {network}.
Subscribe to our newsletter and get {stuff} in your inbox every week.
Sign up now and save {n}% on your first order!
Enter your email address to receive {stuff}. No spam, unsubscribe any time.
Home > {section} > {section} > Page {n}
Home | {section} | {section} | About us | Contact
Skip to content. Menu. Search. Log in. Register.
ADVERTISEMENT
Sponsored: {product} now only ${n}.99. Click here to buy!
Buy {product} today - free shipping on orders over ${n}!
Limited time offer! Get {n}% off {product}. Use code SAVE{n}.
Ad - {product}: the choice of experts. Learn more.
You may also like: {product} review | 10 best {stuff} of {year} | {n} mistakes everyone makes
Related articles: {section}, {section}, {section}
Read next: Why everyone is talking about {product}
Leave a comment. {n} comments so far. Log in to reply.
Posted by admin on {month} {n}, {year}. Filed under {section}. Tags: {section}, {section}
Copyright {year} All rights reserved. Terms | Privacy | Sitemap
This post contains affiliate links. We may earn a commission if you buy {product}.
Download our free app for iOS and Android.
Create a free account to continue reading.
You have read {n} of your {n} free articles this month. Subscribe for full access.
Please disable your ad blocker to support this site.
Loading... Please wait. If the page does not load, enable JavaScript.
Next page » « Previous page 1 2 3 4 ... {n}
Was this article helpful? Yes / No. {n} people found this helpful.
Rate this page: ★★★★☆ ({n} votes)
Top {n} deals on {product} this week - click here!!!
Chat with us! An agent is available now.
Add to cart. In stock. Ships within {n} days.
Back to top | Print this page | Email to a friend
Last updated {month} {year} | Views: {n}{n}{n}
Click here to enter our {month} giveaway and win {product}!
Trending now: {stuff} | {section} | {product}
Forgot your password? Sign in with {network}
Get instant access to {stuff} - start your {n}-day free trial
Notify me of new posts by email.
"""
UNSEEN = """
By using this site you agree to the storing of cookies on your device. OK
Tweet Pin it Share {n} shares
Join {n},000 readers: put your address in the box below and never miss our {stuff}
Shop | {section} | Blog | My account | Basket ({n})
Today's bargain: {product}, was ${n}9, now ${n}. Order before midnight!
People who read this also bought {product}
© {year} {section} Media Ltd. Imprint. Cookie settings. Careers.
{n} replies - be the first to like this. Report abuse
This content is for members only. Upgrade to premium for ${n} a month.
Watch our sponsor's video about {product} (skip in {n} seconds)
Please turn on notifications to hear about {stuff} first!
Jump to: top / {section} / comments / footer
"""
_GAPS = {
    "improve": ("improve", "personalise", "enhance", "analyse"),
    "accept": ("accept", "agree to", "consent to"),
    "network": ("Facebook", "Twitter", "Pinterest", "LinkedIn", "WhatsApp", "Reddit", "Instagram", "YouTube"),
    "stuff": ("tips", "great deals", "free guides", "exclusive offers", "tutorials", "weekly news", "recipes", "ideas"),
    "section": (
        "News",
        "Products",
        "Services",
        "Gallery",
        "Guides",
        "Support",
        "Forum",
        "Lifestyle",
        "Tech",
        "Archive",
    ),
    "product": (
        "SuperClean Pro",
        "the AquaMax 300",
        "ProTrim Deluxe",
        "our premium plan",
        "VitaBoost",
        "the new X5",
        "EasyHost",
        "MegaMixer",
        "the Starter Kit",
        "QuickLoan",
        "SoftPillow",
        "PhotoMagic",
    ),
    "month": ("January", "March", "May", "June", "August", "October", "December"),
}


def clutter_lines(rng: random.Random, count: int, *, unseen: bool) -> list[str]:
    """`count` different lines; `unseen` takes them from those that do not occur in training."""
    templates = (UNSEEN if unseen else SEEN).strip().split("\n")
    return [re.sub(r"\{(\w+)\}", lambda m: _fill(m[1], rng), line) for line in rng.sample(templates, count)]


def _fill(gap: str, rng: random.Random) -> str:
    if gap == "n":
        return str(rng.randint(2, 60))
    return str(rng.randint(2012, 2025)) if gap == "year" else rng.choice(_GAPS[gap])

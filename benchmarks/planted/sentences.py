"""Sentences written for the planted corpus: another language, prose that says nothing, and what surrounds web pages.

Each document that is made of them draws some, so that no two of them are near-duplicates of each other.
"""

GERMAN = """
Ein gutes Brot braucht vor allem Zeit, denn der Teig muss lange ruhen.
Mehl, Wasser, Salz und ein wenig Sauerteig genügen für einen ganzen Laib.
Das Wasser sollte lauwarm sein, damit die Hefen gleich mit der Arbeit beginnen.
Nach einer halben Stunde wird der Teig zum ersten Mal gedehnt und gefaltet.
Wer keine Waage hat, misst das Mehl mit einer großen Tasse ab.
Der Ofen wird mit einem schweren Topf aus Gusseisen vorgeheizt.
Ist die Kruste dunkelbraun und klingt der Boden hohl, so ist das Brot fertig.
Man lässt es auf einem Gitter auskühlen, bevor man die erste Scheibe abschneidet.
Im Frühjahr wird die Erde im Beet mit der Hacke gelockert und geebnet.
Die Samen der Möhren sind so klein, dass man sie mit Sand vermischt.
Zwischen den Reihen bleibt eine Handbreit Platz für das Unkraut, das man später zieht.
Gegossen wird am frühen Morgen, weil dann am wenigsten Wasser verdunstet.
Schnecken hält man mit einem Streifen aus grobem Kies von den Pflanzen fern.
Tomaten stehen gern an einer warmen Mauer und vertragen keinen Regen auf den Blättern.
Ein Komposthaufen braucht Luft, Feuchtigkeit und eine Mischung aus Grün und Braun.
Im Herbst deckt man die leeren Beete mit Laub ab, damit der Boden nicht friert.
Bevor man ein Fahrrad flickt, dreht man es um und stellt es auf den Sattel.
Der Mantel lässt sich mit zwei Löffeln von der Felge heben.
Unter Wasser sieht man an den Blasen sofort, wo der Schlauch undicht ist.
Die Stelle wird mit feinem Sandpapier aufgeraut und von allem Staub befreit.
Der Kleber muss einige Minuten trocknen, bis er nicht mehr glänzt.
Dann presst man den Flicken fest auf und wartet noch eine Weile.
Eine Kette, die bei jedem Tritt knirscht, hat zu lange kein Öl gesehen.
Die Bremsklötze sollen die Felge gleichmäßig berühren und nicht den Reifen.
Für ein Regal aus Kiefernholz genügen vier Bretter und eine Handvoll Schrauben.
Jedes Loch wird vorgebohrt, sonst reißt das Holz an den Enden ein.
Mit der Wasserwaage prüft man, ob die Böden wirklich gerade liegen.
Ein Anstrich mit Leinöl schützt die Oberfläche und riecht nur wenige Tage.
Wer in der Wand auf ein Kabel trifft, hat vorher nicht sorgfältig gesucht.
Die Dübel müssen zur Wand passen, denn in Gips hält nicht jeder.
Wolle wäscht man von Hand in kaltem Wasser und ohne sie zu reiben.
Ein nasser Pullover wird auf einem Handtuch ausgebreitet und nie aufgehängt.
Flecken von Rotwein verschwinden, wenn man sie gleich mit Salz bestreut.
Das Bügeleisen soll heiß sein, aber nicht so heiß, dass der Stoff glänzt.
Knöpfe näht man mit doppeltem Faden an und lässt dabei einen kleinen Abstand.
Wer das alles einmal selbst gemacht hat, wird es so bald nicht vergessen.
"""

FILLER = """
There are many things to think about here, and each of them matters in its own way.
It is important to remember that everything depends on the situation.
Some people prefer one way, while others are happier with another.
In the end it is all about finding what works best for you.
This is something that has been discussed for a long time, and for good reason.
As we have seen, there is a lot more to it than meets the eye.
Of course, it is not always as easy as it may look at first.
With the right attitude, almost anything can be achieved sooner or later.
It goes without saying that this is a topic of great interest to everyone.
Many experts agree that it plays a role in nearly every part of life.
One should never forget that there are always two sides to a story.
What matters most is that you take the time to do it properly.
There is no single answer to this question, and there may never be one.
A good start is half of the way, as people like to say.
Over the years this has changed a lot, and it will go on changing.
Everybody has heard about it, but only a few really know what it means.
It can be a great help, provided that it is used in the right way.
At the same time, it would be wrong to expect too much too early.
The possibilities are nearly endless, and new ones appear every day.
If you look at it from another side, you may come to a different view.
Nobody can say for certain where all of this will lead one day.
That is why it makes sense to stay open and to keep an eye on things.
There are good days and there are days that are not so good.
It is worth the effort, even if the results are not visible at once.
When all is said and done, it is the small things that count.
Quality has its price, but a high price does not always mean quality.
More and more people are beginning to see how much there is in it.
As with so many things, practice is what makes the difference.
A little patience never hurts, and often it is all that is needed.
In today's world it is more relevant than it has ever been before.
Whatever you decide, make sure that it really is your own decision.
Some of this may sound familiar, and some of it may be new.
It is hard to imagine what we would do if it were not there.
The most important thing is to begin, and the rest will follow.
One thing leads to another, and before you know it you are there.
So take what you need from it, and leave the rest for another time.
"""

CLUTTER = """
Home > Workshop > All guides > Page 3 of 17
Skip to the main part. Open the menu. Close the menu. Search. My profile.
We and our 214 partners store and read data on your device. Agree or see the purposes.
You are reading as a guest. Two of three free pages are used up for this week.
What the neighbours found behind their kettle will leave you speechless...
Nine tricks that plumbers do not want you to hear, and the last one is the best...
Save 35 % on every cordless drill until midnight, only while stocks last!
Put it into the basket. Deliver it by Thursday. Compare three similar offers.
Newest first | Oldest first | Most helpful first | Show 25 more replies
Kettles | Lamps | Ladders | Ropes | Tools | Gifts | Sale | Outlet
Sign in to see the price that is meant for you alone.
Get our letter every Friday, and a voucher worth ten dollars for your next order.
The page that you came from is no longer kept up to date. Go to the start page.
Older article: she bought a shed for one dollar. Newer article: he sold it again.
Terms of use | How we use your data | Who we are | Jobs | Press | Contact
Pass it on: by mail, by message, by post card, or copy the link.
This shop takes every usual card. Returns are free within 30 days.
Your browser is out of date. Some parts of this page may not be shown.
Turn off your blocker of adverts, please. It is what keeps these pages free.
Advert. Our lamps shine longer. Ask your dealer for the new catalogue.
4.6 of 5 stars from 1,208 customers. Write the first review in your language.
Choose a country: Canada, Ireland, India, New Zealand, United Kingdom, United States
Still looking? Here are eleven offers that others have bought today.
Press any key to skip the advert in 5, 4, 3, 2, 1
Download this page as a file. Print this page. Make the letters larger.
Tags: ladder, lamp, offer, garage, weekend, spring, diy, tips, news
She only wanted to clean her oven. What came out of it was...
Fill in the short survey and win one of five sets of spanners.
Last changed by the editors on 3 May. Report a mistake on this page.
Join 48,000 members. It takes less than a minute and costs nothing at all.
Not available where you live. Choose another shop near you.
The first month is free, then 7.99 a month. You may leave at any time.
Do you like what you see? Follow us wherever you are.
Previous page | 1 | 2 | 3 | 4 | 5 | Next page
All rights reserved. No part of these pages may be copied without our leave.
Loading more stories like this one. Please wait a moment...
"""

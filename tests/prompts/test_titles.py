"""Instructions made of titles."""

import time

import pytest

from prompts import load, spelling, titles
from prompts.wordings import Answers

ANSWERS = load("embedded").wordings.answers


@pytest.mark.parametrize(
    "title, asked",
    [
        ("Step 3: Installing the Server", "Explain how to install the server."),
        ("How to Prune Roses", "Explain how to prune roses."),
        ("Parallel Circuits", "Explain parallel circuits with pictures."),
        ("What Is a Primate?", "What is a primate?"),
        ("Roses With and From Your Own", "Explain roses with and from your Own with pictures."),
        ("Primate Relationships", "Explain primate relationships with pictures."),
        ("Roses of Paris", "Explain roses of Paris with pictures."),
        ("Roses of the Windows Server", "Explain roses of the windows server with pictures."),
        ("Parallel circuits in Rome", "Explain parallel circuits in Rome with pictures."),
        ("Primate {#primate}", "Explain primate with pictures."),
        ("Learn about Primates", "Explain primates with pictures."),
        ("Understanding Parallel Circuits", "Explain parallel circuits with pictures."),
        ("Installing and Pruning Roses", "Explain how to install and prune roses."),
        ("Plan Roses - Primates", None),
        ("Plan the Parallel Circuits - Primates", "Explain how to plan the parallel circuits."),
        ("Project 2: Parallel Circuits", "Explain parallel circuits with pictures."),
        ("Primate and <i> Roses</i", "Explain primate and roses with pictures."),
        ("Roses" + " with roses" * 40, None),
        ("Primate &lt;primate&gt;", "Explain primate with pictures."),
        ("Windows Server 2012 Overview", "Explain windows server 2012 overview with pictures."),
        ("Hang the Roses in Parallel", "Explain how to hang the roses in parallel."),  # a verb in no list
        ("Annotate a primate", "Explain how to annotate a primate."),
        ("Forge a primate", "Explain how to forge a primate."),  # only a verb stands before "a"
        ("Despite the roses", "Explain despite the roses with pictures."),
        ("Behind the roses", "Explain Behind the roses with pictures."),
        ("Paris the primate", "Explain Paris the primate with pictures."),
        ("Overview of the Roses", "Explain the roses with pictures."),
        ("Introduction to Roses", "Explain roses with pictures."),
        ("What about the Roses?", "Explain the roses with pictures."),
        ("What It Takes to be a Primate", "Explain what it takes to be a primate."),
        ("What We Prune Roses With", None),
        ("Why primates prune roses", "Explain why primates prune roses."),
        ("In the Roses", None),
        ("There is a primate; it prunes", None),
        ("Install Roses in U.S. Circuits", "Explain how to install roses in U.S. circuits."),
        ("Prune roses. Install circuits.", None),
        ("Install roses in circuits 8.0", "Explain how to install roses in circuits 8.0."),
        ("Install roses.py", None),
        ("Merge Roses", None),
        ("Overview", None),
        ("Setup and Procedure", None),
        ("Learning Outcomes", None),
        ("Windows Server 2012", None),
        ("Bing画像の追加", None),
    ],
)
def test_titles_become_instructions(title, asked):
    text = "installing the server, then hang, annotate and, despite all, prune roses in parallel circuits; a primate and an overview of windows, like Paris"
    assert titles.instruction(title, text, ANSWERS) == asked


@pytest.mark.parametrize(
    "title, text, about",
    [
        # a noun: the text has it where nouns stand
        ("Water pollution", "This lesson is about water pollution.", "water pollution"),
        ("Water pollution", "It is due to water pollution. Water pollution is a danger.", "water pollution"),
        ("Plant cells", "In a plant the cells are small. Plant cells have walls.", "plant cells"),
        ("Open source collaboration", "the value of open source collaboration", "open source collaboration"),
        ("Plan View - Rally Points", "Look at the Plan View.", "plan View - rally points"),
        ("Work and energy", "", "work and energy"),
        ("Change of Wavelength", "", "change of wavelength"),
        ("Making of a robot", "", "making of a robot"),
        # an -ing form that says of what kind something is, or may do so
        ("Washing machines", "", "washing machines"),
        ("Learning rate", "", "learning rate"),
        ("Writing code", "", "writing code"),
        ("Planning and implementation", "", "planning and implementation"),
        # either, and the text does not tell: neither form is right for both
        ("Stretch settings", "", None),
        ("Change language", "", None),
        ("Wire with current in a field", "", None),
        ("Deny actions", "", None),
        ("Test and view", "", None),
        ("Analyze", "", None),
        # an order: an object with an article, or words that the text uses as a verb and its object
        ("Water the plants", "", "how to water the plants"),
        ("Build a circuit", "", "how to build a circuit"),
        ("Set up lights", "", "how to set up lights"),
        ("Change language", "You can change the language.", "how to change language"),
        ("Measure temperature", "a guide to measuring temperature", "how to measure temperature"),
        ("Download plugins", "You can download plugins.", "how to download plugins"),
        ("Writing code", "Then write the code.", "how to write code"),
        ("Washing the dishes", "", "how to wash the dishes"),
        ("Plant bulbs in autumn for spring", "Plant them deep.", "how to plant bulbs in autumn for spring"),
        ("Plant cells", "Plant them deep. Plant cells have walls.", "plant cells"),
        ("Water house plants while you are away", "", "how to water house plants while you are away"),
        ("Measure twice and cut once", "", "how to measure twice and cut once"),
        ("Train and test the model", "", "how to train and test the model"),
        # a verb and nothing else
        ("Add lights", "", "how to add lights"),
        ("Adding lights", "", "how to add lights"),
        ("Adding or removing lights", "", "how to add or remove lights"),
        ("Install and configure lights", "", "how to install and configure lights"),
        ("Boil eggs", "", "how to boil eggs"),
        ("Programming in Python", "", "how to program in python"),
    ],
)
def test_a_title_that_begins_with_a_noun_is_no_order(title, text, about):
    made = titles.instruction(title, text, Answers(do=("how to {}",), about=("{}",)), at_least=0)
    assert (made or "").lower() == (about or "").lower()


def test_a_question_without_its_mark_stays_one():
    assert titles.instruction("How does a Plane Fly", "A plane does fly.", ANSWERS) == "How does a plane fly?"


def test_a_name_of_several_words_keeps_its_capitals():
    assert titles.instruction("Harriet Beecher Stowe", "stowe, as Harriet Beecher saw it", ANSWERS, at_least=0) == (
        "Explain Harriet Beecher Stowe with pictures."
    )
    text = "The app was sent from the App Center to roses on the web. An app prunes roses."
    assert titles.instruction("The App Center Web Roses", text, ANSWERS) == (
        "Explain the App Center Web Roses with pictures."  # a run stays together
    )


@pytest.mark.parametrize(
    "title, text, about",
    [
        ("Egg Drop Experiment", "Egg Drop Experiment\nAn egg drops. It is an experiment.", "Egg Drop Experiment"),
        ("Application Pool Identities", "IIS Application Pool Identities are used.", "Application Pool Identities"),
        ("Creating a Landing Pattern", "# Creating a Landing Pattern\nA pattern.", "how to create a landing pattern"),
        ("Enabling PX4 Joystick Support", "Enable the px4.", "how to enable PX4 joystick support"),
        ("Newton and His Apple", "It was Newton's apple.", "Newton and his apple"),
        ("Kepler's Laws of Motion", "It moves.", "Kepler's Laws of motion"),
        ("Tutorials", "Tutorials", None),
        ("Rates in the United States", "The rates.", "rates in the United States"),
        ("To Each Problem, Its Own Solution", "Each problem has a solution.", None),
        ("Count button presses", "You count the button presses.", "how to count button presses"),
        ("Self-driving cars", "The self-driving cars are fast.", "self-driving cars"),
        ("Display Settings", "Open the Display Settings and display it.", "Display Settings"),
        ("How to Use Metabase Compatibility", "Use the Metabase.", "how to use Metabase Compatibility"),
        ("How we share a style", "We share it.", "how we share a style"),
        ("Franz Boas1858-1942", "It is by Franz Boas.", "Franz Boas"),
        ("Dr. Ann T. Moses1946–", "The doctor and Ann.", "Dr. Ann T. Moses"),
        ("Animals that are extinct", "All animals that are extinct.", "animals that are extinct"),
        ("The editor is a game", "The editor is a game.", None),
    ],
)
def test_words_with_capitals_stay_together_or_become_small_together(title, text, about):
    made = titles.instruction(title, text, Answers(do=("Explain how to {}.",), about=("Explain {}.",)), at_least=0)
    assert made == (about and f"Explain {about}.")


@pytest.mark.parametrize(
    "title, about",
    [
        ("Introduction to Reflection", "Reflection"),
        ("Reflection: a guide", "Reflection"),
        ("Lesson 4: Reflection", "Reflection"),
        ("Vitamin A Deficiency", "vitamin A deficiency"),
        ("micro:bit Radio", ""),
        ("Untitled Document", ""),
        ("x" * 400, ""),
        ("Using Rewrite Maps", "how to use rewrite maps"),
        ("Work, Power, and the Work–Energy Theorem", "work, power, and the work-energy theorem"),
        ("IIS 8.0 Application Initialization", "IIS 8.0 application initialization"),
        ("Parent paths are disabled by default", ""),
        ("Three products that will help your workplace", ""),
        ("📖 Chapter 8 Introductory Essay", ""),
        ("Overview", ""),
    ],
)
def test_what_a_whole_document_is_about(title, about):
    assert titles.topic(title, "rewrite maps", load("embedded").wordings) == about


@pytest.mark.parametrize(
    "title",
    [
        "1" * 290 + "x",
        "(2012/03/14, 2013/03/14) dates" * 9,
        "a " + "<a" * 140 + " x",
        "a" + " " * 2000 + "x!",
        "\\<" * 140,
    ],
)
def test_hostile_titles_take_no_time(title):
    """A regular expression that backtracks would not end before the test's limit."""
    assert not titles.clean(title) or len(titles.clean(title)) <= len(title)
    assert titles.topic(title, title, load("embedded").wordings) == ""


def test_a_text_of_line_breaks_takes_no_time():
    started = time.process_time()
    titles.instruction("Water pollution", "Water pollution." + "\n" * 20_000 + "end", ANSWERS)
    assert time.process_time() - started < 0.5  # if each line break searches the others: 2 s


def test_a_text_of_one_long_word_takes_no_time():
    begun = time.process_time()
    assert spelling.with_article("saw", "a" * 50_000) == "saw"
    assert time.process_time() - begun < 1


def test_a_title_that_the_text_does_not_speak_of_gives_none():
    assert titles.instruction("Parallel Circuits", "Wash the roller in warm water.", ANSWERS) is None


def test_a_prompt_set_without_forms_has_none():
    assert titles.instruction("Parallel Circuits", "parallel circuits", Answers()) is None

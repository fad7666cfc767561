// Hashes that other programs made. The password is `PHRASE` unless another one is given.

export const PHRASE = 'correct horse battery staple'

/** A hash of another system, and where it comes from. */
interface Vector {
  source: string
  hash: string
  password?: string
}

/** bcrypt as other systems spell it. */
export const SPELLED: readonly Vector[] = [
  { source: 'Django 5.2, BCryptPasswordHasher', hash: 'bcrypt$$2b$04$cdzJJOdwVvyksDnhDy6PR.PQKT3QPPAWy9kl396UlRgwSnXk6gXVS' },
  { source: 'Spring Security', hash: '{bcrypt}$2b$04$cdzJJOdwVvyksDnhDy6PR.PQKT3QPPAWy9kl396UlRgwSnXk6gXVS' },
  {
    source: 'Spring Security, the example of its documentation',
    hash: '{bcrypt}$2a$10$dXJ3SW6G7P50lGmMkkmwe.20cQQubK3.HZWzG3YB1tlRy.fqvM/BG',
    password: 'password'
  },
  {
    source: 'Django 5.2, BCryptSHA256PasswordHasher',
    hash: 'bcrypt_sha256$$2b$04$ZA2/ivyJeLAAQgb46mULauW5N4BPrl0v8PskZyDIPtAEaZQzNOqku'
  }
]

export const FOREIGN: readonly Vector[] = [
  {
    source: 'argon2-cffi 25.1, Argon2id',
    hash: '$argon2id$v=19$m=1024,t=2,p=4$LlzSdCp9Lv+ElFkv5DoJOw$9bnkaGb7YrSl5GOJJ7bS60h6LL2JLVTCZxrHfKJDybQ'
  },
  {
    source: 'argon2-cffi 25.1, Argon2i',
    hash: '$argon2i$v=19$m=512,t=3,p=1$ZVTcvzVEv7Y8t4uX2uSY4g$Y9eXPTi8YgSZzIUKxsE+/CfOv63+G+OxsHEvmsZZLZg'
  },
  {
    source: 'Django 5.2, Argon2PasswordHasher',
    hash: 'argon2$argon2id$v=19$m=1024,t=2,p=8$em1zeWM2N0FkaWdoWFpiZFBhT0ticw$' +
      'eDt/x/0giZJUA46VnX6dr5GwZiwlHB0GMX/yszlg9q0'
  },
  {
    source: 'passlib 1.7.4, scrypt',
    hash: '$scrypt$ln=10,r=8,p=1$E2LMWcs5ZyxlrDVGiPHeew$2/SdAhaiQQ8SUcxB27c0/pBtWGQMN/9SM2s6kQpQDGU'
  },
  {
    source: 'Django 5.2, ScryptPasswordHasher',
    hash: 'scrypt$1024$seasalt$8$5$' +
      'l8suLvyBQg6EEaxiU94A5MqNFA+ifkB9O0nlDrfbkLvhHOHm+Q68fclEV3UJ0Uvj5DZtTFgZbT70Vnq/eAnq0g=='
  },
  {
    source: 'better-auth 1.x, hashPassword',
    hash: '1d23ea895be673589d788d51837db4ef:eec5a912983411b557b9866062d6b1fa5be520f3d9a3b1d0dfe5c775fb07db86' +
      '12ca3dd864a29d4d46de0de0e7efea5becf2afa635bfdfccbd7c7d051652a9d1'
  },
  {
    source: 'github.com/firebase/scrypt, the example of its README',
    hash: '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,' +
      'sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$' +
      '42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==',
    password: 'user1password'
  },
  {
    source: 'github.com/supabase/auth, the example of its tests',
    hash: '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,' +
      'sk=ou9tdYTGyYm8kuR6Dt0Bp0kDuAYoXrK16mbZO4yGwAn3oLspjnN0/c41v8xZnO1n14J3MjKj1b2g6AUCAlFwMw==$' +
      'C0sHCg9ek77hsg==$zKVTMvnWVw5BBOZNUdnsalx4c4c7y/w7IS5p6Ut2+CfEFFlz37J9huyQfov4iizN8dbjvEJlM5tQaJP84+hfTw==',
    password: 'mytestpassword'
  },
  {
    source: 'Django 5.2, PBKDF2PasswordHasher',
    hash: 'pbkdf2_sha256$1000$seasalt$3xmXbyk2QpiyNcnoBbzRPwEBsYPTbDlRdtmLyBvQltA='
  },
  { source: 'Django 5.2, PBKDF2SHA1PasswordHasher', hash: 'pbkdf2_sha1$1000$seasalt$9iRYj0as1r5j+cCBxB+HMlxkyr4=' },
  {
    source: 'passlib 1.7.4, pbkdf2_sha256',
    hash: '$pbkdf2-sha256$1000$6n3vXetda42xNmZsrbVWCg$MO2ichFYdxRbCMTveUa7pHejgcgSdU1eU9d.uOlrZYM'
  },
  {
    source: 'passlib 1.7.4, pbkdf2_sha512',
    hash: '$pbkdf2-sha512$1000$Mgbg3HsvpXTufe/dm1NqTQ$' +
      'ZHy2gI36LKuiZfHddK98uNqTh6zmJIGNEBMFnyh6boARP4QdQYi/wvy1ewHv8WCD6LVfr0kok09vKoYrCLRIpw'
  },
  { source: 'passlib 1.7.4, pbkdf2_sha1', hash: '$pbkdf2$1000$prRWCsH4X0vp/T/HeO99rw$c/.ApLnUNvgX31lyqhscNS6yGtc' },
  {
    source: 'ASP.NET Core Identity, the example of its tests (PasswordHasherTest, v3)',
    hash: 'AQAAAAIAAAAyAAAAEOMwvh3+FZxqkdMBz2ekgGhwQ4B6pZWND6zgESBuWiHw',
    password: 'my password'
  },
  { source: 'passlib 1.7.4, phpass', hash: '$P$5ihrWTdRtUfCh6SL35XkH4gZcvr0v7/' },
  { source: 'passlib 1.7.4, phpass of phpBB', hash: '$H$5rK8aRW4ltP2GvYAUEhMGiFgEZyFl11' }
]

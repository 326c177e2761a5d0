// Written by test/support/generate-stringprep.py from the tables of RFC 3454. All numbers are hexadecimal.

/** Table A.1: code points that Unicode 3.2 did not know. */
export const UNASSIGNED =
  '\
221 234-24f 2ae-2af 2ef-2ff 350-35f 370-373 376-379 37b-37d 37f-383 38b 38d 3a2 3cf 3f7-3ff 487 4cf 4f6-4f7 4fa-4ff \
510-530 557-558 560 588 58b-590 5a2 5ba 5c5-5cf 5eb-5ef 5f5-60b 60d-61a 61c-61e 620 63b-63f 656-65f 6ee-6ef 6ff 70e \
72d-72f 74b-77f 7b2-900 904 93a-93b 94e-94f 955-957 971-980 984 98d-98e 991-992 9a9 9b1 9b3-9b5 9ba-9bb 9bd 9c5-9c6 \
9c9-9ca 9ce-9d6 9d8-9db 9de 9e4-9e5 9fb-a01 a03-a04 a0b-a0e a11-a12 a29 a31 a34 a37 a3a-a3b a3d a43-a46 a49-a4a a4e-a58 \
a5d a5f-a65 a75-a80 a84 a8c a8e a92 aa9 ab1 ab4 aba-abb ac6 aca ace-acf ad1-adf ae1-ae5 af0-b00 b04 b0d-b0e b11-b12 b29 \
b31 b34-b35 b3a-b3b b44-b46 b49-b4a b4e-b55 b58-b5b b5e b62-b65 b71-b81 b84 b8b-b8d b91 b96-b98 b9b b9d ba0-ba2 ba5-ba7 \
bab-bad bb6 bba-bbd bc3-bc5 bc9 bce-bd6 bd8-be6 bf3-c00 c04 c0d c11 c29 c34 c3a-c3d c45 c49 c4e-c54 c57-c5f c62-c65 \
c70-c81 c84 c8d c91 ca9 cb4 cba-cbd cc5 cc9 cce-cd4 cd7-cdd cdf ce2-ce5 cf0-d01 d04 d0d d11 d29 d3a-d3d d44-d45 d49 \
d4e-d56 d58-d5f d62-d65 d70-d81 d84 d97-d99 db2 dbc dbe-dbf dc7-dc9 dcb-dce dd5 dd7 de0-df1 df5-e00 e3b-e3e e5c-e80 e83 \
e85-e86 e89 e8b-e8c e8e-e93 e98 ea0 ea4 ea6 ea8-ea9 eac eba ebe-ebf ec5 ec7 ece-ecf eda-edb ede-eff f48 f6b-f70 f8c-f8f \
f98 fbd fcd-fce fd0-fff 1022 1028 102b 1033-1035 103a-103f 105a-109f 10c6-10cf 10f9-10fa 10fc-10ff 115a-115e 11a3-11a7 \
11fa-11ff 1207 1247 1249 124e-124f 1257 1259 125e-125f 1287 1289 128e-128f 12af 12b1 12b6-12b7 12bf 12c1 12c6-12c7 12cf \
12d7 12ef 130f 1311 1316-1317 131f 1347 135b-1360 137d-139f 13f5-1400 1677-167f 169d-169f 16f1-16ff 170d 1715-171f \
1737-173f 1754-175f 176d 1771 1774-177f 17dd-17df 17ea-17ff 180f 181a-181f 1878-187f 18aa-1dff 1e9c-1e9f 1efa-1eff \
1f16-1f17 1f1e-1f1f 1f46-1f47 1f4e-1f4f 1f58 1f5a 1f5c 1f5e 1f7e-1f7f 1fb5 1fc5 1fd4-1fd5 1fdc 1ff0-1ff1 1ff5 1fff \
2053-2056 2058-205e 2064-2069 2072-2073 208f-209f 20b2-20cf 20eb-20ff 213b-213c 214c-2152 2184-218f 23cf-23ff 2427-243f \
244b-245f 24ff 2614-2615 2618 267e-267f 268a-2700 2705 270a-270b 2728 274c 274e 2753-2755 2757 275f-2760 2795-2797 27b0 \
27bf-27cf 27ec-27ef 2b00-2e7f 2e9a 2ef4-2eff 2fd6-2fef 2ffc-2fff 3040 3097-3098 3100-3104 312d-3130 318f 31b8-31ef \
321d-321f 3244-3250 327c-327e 32cc-32cf 32ff 3377-337a 33de-33df 33ff 4db6-4dff 9fa6-9fff a48d-a48f a4c7-abff d7a4-d7ff \
fa2e-fa2f fa6b-faff fb07-fb12 fb18-fb1c fb37 fb3d fb3f fb42 fb45 fbb2-fbd2 fd40-fd4f fd90-fd91 fdc8-fdcf fdfd-fdff \
fe10-fe1f fe24-fe2f fe47-fe48 fe53 fe67 fe6c-fe6f fe75 fefd-fefe ff00 ffbf-ffc1 ffc8-ffc9 ffd0-ffd1 ffd8-ffd9 ffdd-ffdf \
ffe7 ffef-fff8 10000-102ff 1031f 10324-1032f 1034b-103ff 10426-10427 1044e-1cfff 1d0f6-1d0ff 1d127-1d129 1d1de-1d3ff \
1d455 1d49d 1d4a0-1d4a1 1d4a3-1d4a4 1d4a7-1d4a8 1d4ad 1d4ba 1d4bc 1d4c1 1d4c4 1d506 1d50b-1d50c 1d515 1d51d 1d53a 1d53f \
1d545 1d547-1d549 1d551 1d6a4-1d6a7 1d7ca-1d7cd 1d800-1fffd 2a6d7-2f7ff 2fa1e-2fffd 30000-3fffd 40000-4fffd 50000-5fffd \
60000-6fffd 70000-7fffd 80000-8fffd 90000-9fffd a0000-afffd b0000-bfffd c0000-cfffd d0000-dfffd e0000 e0002-e001f \
e0080-efffd';

/** Table B.1: characters that are mapped to nothing. */
export const NOTHING =
  '\
ad 34f 1806 180b-180d 200b-200d 2060 fe00-fe0f feff';

/** Table B.2, one to one: `first+distance`, or `first-last/step+distance`: every step-th code point moves by distance. */
export const FOLD_RUNS =
  '\
41-5a/1+20 b5+307 c0-d6/1+20 d8-de/1+20 100-12e/2+1 132-136/2+1 139-147/2+1 14a-176/2+1 178-79 179-17d/2+1 17f-10c \
181+d2 182-184/2+1 186+ce 187+1 189-18a/1+cd 18b+1 18e+4f 18f+ca 190+cb 191+1 193+cd 194+cf 196+d3 197+d1 198+1 19c+d3 \
19d+d5 19f+d6 1a0-1a4/2+1 1a6+da 1a7+1 1a9+da 1ac+1 1ae+da 1af+1 1b1-1b2/1+d9 1b3-1b5/2+1 1b7+db 1b8+1 1bc+1 1c4+2 1c5+1 \
1c7+2 1c8+1 1ca+2 1cb-1db/2+1 1de-1ee/2+1 1f1+2 1f2-1f4/2+1 1f6-61 1f7-38 1f8-21e/2+1 220-82 222-232/2+1 345+74 386+26 \
388-38a/1+25 38c+40 38e-38f/1+3f 391-3a1/1+20 3a3-3ab/1+20 3c2+1 3d0-1e 3d1-19 3d2-d 3d3-6 3d4-9 3d5-f 3d6-16 \
3d8-3ee/2+1 3f0-36 3f1-30 3f2-2f 3f4-3c 3f5-40 400-40f/1+50 410-42f/1+20 460-480/2+1 48a-4be/2+1 4c1-4cd/2+1 4d0-4f4/2+1 \
4f8+1 500-50e/2+1 531-556/1+30 1e00-1e94/2+1 1e9b-3a 1ea0-1ef8/2+1 1f08-1f0f/1-8 1f18-1f1d/1-8 1f28-1f2f/1-8 \
1f38-1f3f/1-8 1f48-1f4d/1-8 1f59-1f5f/2-8 1f68-1f6f/1-8 1fb8-1fb9/1-8 1fba-1fbb/1-4a 1fbe-1c05 1fc8-1fcb/1-56 \
1fd8-1fd9/1-8 1fda-1fdb/1-64 1fe8-1fe9/1-8 1fea-1feb/1-70 1fec-7 1ff8-1ff9/1-80 1ffa-1ffb/1-7e 2102-209f 2107-1eac \
210b-20a3 210c-20a4 210d-20a5 2110-20a7 2111-20a8 2112-20a6 2115-20a7 2119-211b/1-20a9 211c-20aa 211d-20ab 2124-20aa \
2126-1d5d 2128-20ae 212a-20bf 212b-2046 212c-212d/1-20ca 2130-2131/1-20cb 2133-20c6 213e-1d8b 213f-1d7f 2145-20e1 \
2160-216f/1+10 24b6-24cf/1+1a ff21-ff3a/1+20 10400-10425/1+28 1d400-1d419/1-1d39f 1d434-1d44d/1-1d3d3 \
1d468-1d481/1-1d407 1d49c-1d49e/2-1d43b 1d49f-1d43b 1d4a2-1d43b 1d4a5-1d4a6/1-1d43b 1d4a9-1d4ac/1-1d43b \
1d4ae-1d4b5/1-1d43b 1d4d0-1d4e9/1-1d46f 1d504-1d505/1-1d4a3 1d507-1d50a/1-1d4a3 1d50d-1d514/1-1d4a3 1d516-1d51c/1-1d4a3 \
1d538-1d539/1-1d4d7 1d53b-1d53e/1-1d4d7 1d540-1d544/1-1d4d7 1d546-1d4d7 1d54a-1d550/1-1d4d7 1d56c-1d585/1-1d50b \
1d5a0-1d5b9/1-1d53f 1d5d4-1d5ed/1-1d573 1d608-1d621/1-1d5a7 1d63c-1d655/1-1d5db 1d670-1d689/1-1d60f 1d6a8-1d6b8/1-1d2f7 \
1d6b9-1d301 1d6ba-1d6c0/1-1d2f7 1d6d3-1d310 1d6e2-1d6f2/1-1d331 1d6f3-1d33b 1d6f4-1d6fa/1-1d331 1d70d-1d34a \
1d71c-1d72c/1-1d36b 1d72d-1d375 1d72e-1d734/1-1d36b 1d747-1d384 1d756-1d766/1-1d3a5 1d767-1d3af 1d768-1d76e/1-1d3a5 \
1d781-1d3be 1d790-1d7a0/1-1d3df 1d7a1-1d3e9 1d7a2-1d7a8/1-1d3df 1d7bb-1d3f8';

/** Table B.2, one to several: `code=code_code`. */
export const FOLD_SEVERAL =
  '\
df=73_73 130=69_307 149=2bc_6e 1f0=6a_30c 37a=20_3b9 390=3b9_308_301 3b0=3c5_308_301 587=565_582 1e96=68_331 1e97=74_308 \
1e98=77_30a 1e99=79_30a 1e9a=61_2be 1f50=3c5_313 1f52=3c5_313_300 1f54=3c5_313_301 1f56=3c5_313_342 1f80=1f00_3b9 \
1f81=1f01_3b9 1f82=1f02_3b9 1f83=1f03_3b9 1f84=1f04_3b9 1f85=1f05_3b9 1f86=1f06_3b9 1f87=1f07_3b9 1f88=1f00_3b9 \
1f89=1f01_3b9 1f8a=1f02_3b9 1f8b=1f03_3b9 1f8c=1f04_3b9 1f8d=1f05_3b9 1f8e=1f06_3b9 1f8f=1f07_3b9 1f90=1f20_3b9 \
1f91=1f21_3b9 1f92=1f22_3b9 1f93=1f23_3b9 1f94=1f24_3b9 1f95=1f25_3b9 1f96=1f26_3b9 1f97=1f27_3b9 1f98=1f20_3b9 \
1f99=1f21_3b9 1f9a=1f22_3b9 1f9b=1f23_3b9 1f9c=1f24_3b9 1f9d=1f25_3b9 1f9e=1f26_3b9 1f9f=1f27_3b9 1fa0=1f60_3b9 \
1fa1=1f61_3b9 1fa2=1f62_3b9 1fa3=1f63_3b9 1fa4=1f64_3b9 1fa5=1f65_3b9 1fa6=1f66_3b9 1fa7=1f67_3b9 1fa8=1f60_3b9 \
1fa9=1f61_3b9 1faa=1f62_3b9 1fab=1f63_3b9 1fac=1f64_3b9 1fad=1f65_3b9 1fae=1f66_3b9 1faf=1f67_3b9 1fb2=1f70_3b9 \
1fb3=3b1_3b9 1fb4=3ac_3b9 1fb6=3b1_342 1fb7=3b1_342_3b9 1fbc=3b1_3b9 1fc2=1f74_3b9 1fc3=3b7_3b9 1fc4=3ae_3b9 \
1fc6=3b7_342 1fc7=3b7_342_3b9 1fcc=3b7_3b9 1fd2=3b9_308_300 1fd3=3b9_308_301 1fd6=3b9_342 1fd7=3b9_308_342 \
1fe2=3c5_308_300 1fe3=3c5_308_301 1fe4=3c1_313 1fe6=3c5_342 1fe7=3c5_308_342 1ff2=1f7c_3b9 1ff3=3c9_3b9 1ff4=3ce_3b9 \
1ff6=3c9_342 1ff7=3c9_342_3b9 1ffc=3c9_3b9 20a8=72_73 2103=b0_63 2109=b0_66 2116=6e_6f 2120=73_6d 2121=74_65_6c \
2122=74_6d 3371=68_70_61 3373=61_75 3375=6f_76 3380=70_61 3381=6e_61 3382=3bc_61 3383=6d_61 3384=6b_61 3385=6b_62 \
3386=6d_62 3387=67_62 338a=70_66 338b=6e_66 338c=3bc_66 3390=68_7a 3391=6b_68_7a 3392=6d_68_7a 3393=67_68_7a \
3394=74_68_7a 33a9=70_61 33aa=6b_70_61 33ab=6d_70_61 33ac=67_70_61 33b4=70_76 33b5=6e_76 33b6=3bc_76 33b7=6d_76 \
33b8=6b_76 33b9=6d_76 33ba=70_77 33bb=6e_77 33bc=3bc_77 33bd=6d_77 33be=6b_77 33bf=6d_77 33c0=6b_3c9 33c1=6d_3c9 \
33c3=62_71 33c6=63_2215_6b_67 33c7=63_6f_2e 33c8=64_62 33c9=67_79 33cb=68_70 33cd=6b_6b 33ce=6b_6d 33d7=70_68 \
33d9=70_70_6d 33da=70_72 33dc=73_76 33dd=77_62 fb00=66_66 fb01=66_69 fb02=66_6c fb03=66_66_69 fb04=66_66_6c fb05=73_74 \
fb06=73_74 fb13=574_576 fb14=574_565 fb15=574_56b fb16=57e_576 fb17=574_56d';

/** Code points whose NFKC was corrected after Unicode 3.2, with what it was. */
export const NORMAL_FORMS_3_2 =
  '\
2f868=2136a 2f874=5f33 2f91f=43ab 2f95f=7aae 2f9bf=4d57';

/** Tables C.1.2, C.2.2 and C.3 to C.9: prohibited in all profiles. */
export const PROHIBITED =
  '\
80-a0 340-341 6dd 70f 1680 180e 2000-200f 2028-202f 205f-2063 206a-206f 2ff0-2ffb 3000 d800-f8ff fdd0-fdef feff \
fff9-ffff 1d173-1d17a 1fffe-1ffff 2fffe-2ffff 3fffe-3ffff 4fffe-4ffff 5fffe-5ffff 6fffe-6ffff 7fffe-7ffff 8fffe-8ffff \
9fffe-9ffff afffe-affff bfffe-bffff cfffe-cffff dfffe-dffff e0001 e0020-e007f efffe-10ffff';

/** Table D.1: characters written from right to left. */
export const RIGHT_TO_LEFT =
  '\
5be 5c0 5c3 5d0-5ea 5f0-5f4 61b 61f 621-63a 640-64a 66d-66f 671-6d5 6dd 6e5-6e6 6fa-6fe 700-70d 710 712-72c 780-7a5 7b1 \
200f fb1d fb1f-fb28 fb2a-fb36 fb38-fb3c fb3e fb40-fb41 fb43-fb44 fb46-fbb1 fbd3-fd3d fd50-fd8f fd92-fdc7 fdf0-fdfc \
fe70-fe74 fe76-fefc';

/** Table D.2: characters written from left to right. */
export const LEFT_TO_RIGHT =
  '\
41-5a 61-7a aa b5 ba c0-d6 d8-f6 f8-220 222-233 250-2ad 2b0-2b8 2bb-2c1 2d0-2d1 2e0-2e4 2ee 37a 386 388-38a 38c 38e-3a1 \
3a3-3ce 3d0-3f5 400-482 48a-4ce 4d0-4f5 4f8-4f9 500-50f 531-556 559-55f 561-587 589 903 905-939 93d-940 949-94c 950 \
958-961 964-970 982-983 985-98c 98f-990 993-9a8 9aa-9b0 9b2 9b6-9b9 9be-9c0 9c7-9c8 9cb-9cc 9d7 9dc-9dd 9df-9e1 9e6-9f1 \
9f4-9fa a05-a0a a0f-a10 a13-a28 a2a-a30 a32-a33 a35-a36 a38-a39 a3e-a40 a59-a5c a5e a66-a6f a72-a74 a83 a85-a8b a8d \
a8f-a91 a93-aa8 aaa-ab0 ab2-ab3 ab5-ab9 abd-ac0 ac9 acb-acc ad0 ae0 ae6-aef b02-b03 b05-b0c b0f-b10 b13-b28 b2a-b30 \
b32-b33 b36-b39 b3d-b3e b40 b47-b48 b4b-b4c b57 b5c-b5d b5f-b61 b66-b70 b83 b85-b8a b8e-b90 b92-b95 b99-b9a b9c b9e-b9f \
ba3-ba4 ba8-baa bae-bb5 bb7-bb9 bbe-bbf bc1-bc2 bc6-bc8 bca-bcc bd7 be7-bf2 c01-c03 c05-c0c c0e-c10 c12-c28 c2a-c33 \
c35-c39 c41-c44 c60-c61 c66-c6f c82-c83 c85-c8c c8e-c90 c92-ca8 caa-cb3 cb5-cb9 cbe cc0-cc4 cc7-cc8 cca-ccb cd5-cd6 cde \
ce0-ce1 ce6-cef d02-d03 d05-d0c d0e-d10 d12-d28 d2a-d39 d3e-d40 d46-d48 d4a-d4c d57 d60-d61 d66-d6f d82-d83 d85-d96 \
d9a-db1 db3-dbb dbd dc0-dc6 dcf-dd1 dd8-ddf df2-df4 e01-e30 e32-e33 e40-e46 e4f-e5b e81-e82 e84 e87-e88 e8a e8d e94-e97 \
e99-e9f ea1-ea3 ea5 ea7 eaa-eab ead-eb0 eb2-eb3 ebd ec0-ec4 ec6 ed0-ed9 edc-edd f00-f17 f1a-f34 f36 f38 f3e-f47 f49-f6a \
f7f f85 f88-f8b fbe-fc5 fc7-fcc fcf 1000-1021 1023-1027 1029-102a 102c 1031 1038 1040-1057 10a0-10c5 10d0-10f8 10fb \
1100-1159 115f-11a2 11a8-11f9 1200-1206 1208-1246 1248 124a-124d 1250-1256 1258 125a-125d 1260-1286 1288 128a-128d \
1290-12ae 12b0 12b2-12b5 12b8-12be 12c0 12c2-12c5 12c8-12ce 12d0-12d6 12d8-12ee 12f0-130e 1310 1312-1315 1318-131e \
1320-1346 1348-135a 1361-137c 13a0-13f4 1401-1676 1681-169a 16a0-16f0 1700-170c 170e-1711 1720-1731 1735-1736 1740-1751 \
1760-176c 176e-1770 1780-17b6 17be-17c5 17c7-17c8 17d4-17da 17dc 17e0-17e9 1810-1819 1820-1877 1880-18a8 1e00-1e9b \
1ea0-1ef9 1f00-1f15 1f18-1f1d 1f20-1f45 1f48-1f4d 1f50-1f57 1f59 1f5b 1f5d 1f5f-1f7d 1f80-1fb4 1fb6-1fbc 1fbe 1fc2-1fc4 \
1fc6-1fcc 1fd0-1fd3 1fd6-1fdb 1fe0-1fec 1ff2-1ff4 1ff6-1ffc 200e 2071 207f 2102 2107 210a-2113 2115 2119-211d 2124 2126 \
2128 212a-212d 212f-2131 2133-2139 213d-213f 2145-2149 2160-2183 2336-237a 2395 249c-24e9 3005-3007 3021-3029 3031-3035 \
3038-303c 3041-3096 309d-309f 30a1-30fa 30fc-30ff 3105-312c 3131-318e 3190-31b7 31f0-321c 3220-3243 3260-327b 327f-32b0 \
32c0-32cb 32d0-32fe 3300-3376 337b-33dd 33e0-33fe 3400-4db5 4e00-9fa5 a000-a48c ac00-d7a3 d800-fa2d fa30-fa6a fb00-fb06 \
fb13-fb17 ff21-ff3a ff41-ff5a ff66-ffbe ffc2-ffc7 ffca-ffcf ffd2-ffd7 ffda-ffdc 10300-1031e 10320-10323 10330-1034a \
10400-10425 10428-1044d 1d000-1d0f5 1d100-1d126 1d12a-1d166 1d16a-1d172 1d183-1d184 1d18c-1d1a9 1d1ae-1d1dd 1d400-1d454 \
1d456-1d49c 1d49e-1d49f 1d4a2 1d4a5-1d4a6 1d4a9-1d4ac 1d4ae-1d4b9 1d4bb 1d4bd-1d4c0 1d4c2-1d4c3 1d4c5-1d505 1d507-1d50a \
1d50d-1d514 1d516-1d51c 1d51e-1d539 1d53b-1d53e 1d540-1d544 1d546 1d54a-1d550 1d552-1d6a3 1d6a8-1d7c9 20000-2a6d6 \
2f800-2fa1d f0000-ffffd 100000-10fffd';
